/* ---- hints: the programs of both halves of a box begin near a point that its own came by, with the multipliers it had there ---- */

typedef struct Hint {
    int users;      /* boxes that begin with it */
    int nplanes;    /* planes whose multipliers are not small */
    double value[]; /* counts and trips; the multipliers of rows; numbers of planes, each with its multiplier */
} Hint;

static const double WIDE_GAP = 0.3, PRESSING = 0.003; /* where a point is noted last; what is not small */

static void note_point(Program *p) {
    p->noted = 1;
    memcpy(p->notedx, p->x, sizeof(double) * p->n);
    memcpy(p->pressure, p->multiplier, sizeof(double) * (p->nrows + p->nplanes));
}

static int variable_of(const Program *p, const Form *form, int d, int i) {
    return i < form->ncounts ? p->count[d][i] : p->trips[d][i - form->ncounts];
}

/* The hint of the last program, if it came by any point; for one user. */
static Hint *make_hint(const Program *p, const Boxes *q) {
    int n = p->nrows, nplanes = 0;
    if (p->full || !p->noted) return NULL;
    for (int d = 0; d < q->s->D; d++) n += q->form[d].ncounts + q->s->A;
    for (int i = 0; i < p->nplanes; i++) nplanes += p->pressure[p->nrows + i] > PRESSING;
    Hint *hint = malloc(sizeof *hint + sizeof(double) * (n + 2 * nplanes));
    double *to = hint->value;
    hint->users = 1;
    hint->nplanes = nplanes;
    for (int d = 0; d < q->s->D; d++)
        for (int i = 0; i < q->form[d].ncounts + q->s->A; i++) {
            int v = variable_of(p, &q->form[d], d, i);
            *to++ = v < 0 ? 0 : v < p->n ? p->notedx[v] : p->low[v];
        }
    for (int r = 0; r < p->nrows; r++) *to++ = p->pressure[r];
    for (int i = 0; i < p->nplanes; i++)
        if (p->pressure[p->nrows + i] > PRESSING) *to++ = p->plane[i].number, *to++ = p->pressure[p->nrows + i];
    return hint;
}

static void drop_hint(Hint *hint) {
    if (hint && !--hint->users) free(hint);
}

/* Begins near a point, away from the limits; returns where multipliers begin. */
static const double *start_near(Program *p, const Boxes *q, const Hint *hint) {
    const double *from = hint->value;
    for (int d = 0; d < q->s->D; d++)
        for (int i = 0; i < q->form[d].ncounts + q->s->A; i++) {
            int v = variable_of(p, &q->form[d], d, i);
            double x = *from++;
            if (v < 0 || v >= p->n) continue;
            double margin = 0.1 * (p->high[v] - p->low[v]);
            p->x[v] = larger(p->low[v] + margin, smaller(p->high[v] - margin, x));
        }
    return from;
}

/* Multipliers are no less than those of a hint. */
static void press(Program *p, const double *from, int nplanes) {
    for (int r = 0; r < p->nrows; r++, from++) p->multiplier[r] = larger(p->multiplier[r], *from);
    for (int i = 0, k = 0; i < p->nplanes && k < nplanes; i++) {
        while (k < nplanes && from[2 * k] < p->plane[i].number) k++;
        if (k < nplanes && from[2 * k] == p->plane[i].number)
            p->multiplier[p->nrows + i] = larger(p->multiplier[p->nrows + i], from[2 * k + 1]);
    }
}
