/* ---- square images: of two schedules that differ in which is height and which is width one is looked at ----
 *
 * Two windows are alike if exchanging their dims leaves all counts as they are. Then a plan stands for the one that sweeps along the
 * other dims; and in a plan that sweeps along none of them a count of the first dim is no larger than that of the other one.
 */

/* Finds two windows that are alike in all settings. */
static void find_mirror(S *s) {
    for (int d = 0; d < s->D; d++) s->mirror[d] = d;
    for (int g = 0; g < s->G; g++) {
        int h = s->gkind[g], even = h != g && s->gdims[g] == 2;
        for (int i = 0; i < s->NS && even; i++)
            for (int m = 0; m < s->setting[i].nmarks; m++)
                for (int d = 0; d < 2; d++) even &= (s->setting[i].shut[m] >> s->gdim[g][d] & 1) == (s->setting[i].shut[m] >> s->gdim[h][d] & 1);
        if (!even) continue;
        for (int d = 0; d < 2; d++) s->mirror[s->gdim[g][d]] = s->gdim[h][d], s->mirror[s->gdim[h][d]] = s->gdim[g][d];
        return;
    }
}

/* Whether a plan sweeps along other dims than its mirror image: less than zero if another plan stands for it. */
static int against_mirror(const S *s, const Plan *plan) {
    for (int m = 0; m < s->setting[plan->setting].nmarks; m++) {
        int dim = plan->sweeps.dim[m] - 1;
        if (dim >= 0 && s->mirror[dim] != dim) return s->mirror[dim] - dim;
    }
    return 0;
}

/* The count that tells most of the chains of two dims apart, or -1. */
static int tie_of(const S *s, const Plan *plan, Box *box) {
    int best = -1;
    double most = 1;
    if (against_mirror(s, plan)) return -1;
    for (int d = 0; d < s->D; d++) {
        const Form *x = &plan->form[d], *y = &plan->form[s->mirror[d]];
        if (s->mirror[d] <= d || x->ncounts != y->ncounts || memcmp(x->count, y->count, sizeof(Count) * x->ncounts)) continue;
        for (int i = 0; i < x->ncounts; i++) {
            double range = (double)box->high[d][i] / larger(1, box->low[d][i]);
            if (x->count[i].what == DIGITS && range > most) most = range, best = d * MAXV + i;
        }
    }
    return best;
}

/* Keeps the count of the first dim below that of the other one; returns the dims that change, as bits, -1 if that cannot be. */
static int relate_mirror(const Boxes *q, Box *box) {
    if (q->plan->tied < 0) return 0;
    int d = q->plan->tied / MAXV, i = q->plan->tied % MAXV, e = q->s->mirror[d];
    int changed = lower(&box->high[d][i], box->high[e][i]) << d | raise(&box->low[e][i], box->low[d][i]) << e;
    return box->low[d][i] > box->high[d][i] || box->low[e][i] > box->high[e][i] ? -1 : changed;
}
