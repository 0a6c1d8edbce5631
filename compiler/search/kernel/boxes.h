/* ---- branch and bound over boxes, each halved before the next is looked at ---- */

enum { SMALL = 4, FEW = 5, BOX = 20 }; /* BOX: the work that a box with windows takes, in chains looked at, where ports are not limited */

static const double DECISIVE[] = {0.6, 0.4}; /* what is dearer by this part of what is left is halved first; then where cycles count */
static const double SLOWLY = 1.25;  /* where a proof is seldom reached, the last limit should not be far below what is left */
static const double AXES[] = {12, 100};      /* how much sooner than events the trips on axes are halved */

/* Of the chains of a dim, all of which were found, the segments where each fan-out may stand; whether there are any for each. */
static int narrow(const Boxes *q, int d, const Rows *rows, int *wanted) {
    int some = 1;
    for (int f = 0; f < q->s->F; f++) {
        int all = 0;
        for (int i = 0; i < rows->n; i++) all |= segments_of_row(q, d, rows->value + (size_t)i * rows->width, f);
        some &= (wanted[f] &= all) != 0;
    }
    return some;
}

/* The dims, smallest first. */
static void smallest_first(const S *s, int *order) {
    for (int d = 0; d < s->D; d++) {
        int at = d;
        for (; at > 0 && s->bound[order[at - 1]] > s->bound[d]; at--) order[at] = order[at - 1];
        order[at] = d;
    }
}

/* All chains of the dims in a box, those of small dims first; whether all were found. Of larger dims only those are needed whose
 * fan-outs stand where these have them. Up to the last one of which nothing was found before, if not all are wanted.
 */
static int list_all(Boxes *q, const Box *box, int all, Rows *rows, int *empty) {
    const S *s = q->s;
    int order[MAXD], wanted[MAXF], last = s->D - 1, whole = all > 0;
    smallest_first(s, order);
    for (int f = 0; f < s->F; f++) wanted[f] = (2 << q->t->nmarks) - 1;
    while (!all && last >= 0 && rows[order[last]].n) last--;
    for (int i = 0; i <= last && !*empty; i++) {
        int d = order[i];
        if (!all && rows[d].n && s->bound[d] > FEW) continue;
        rows[d].n = 0;
        int found = ragged(q, box, d, most_of(all, 1), wanted, &rows[d]);
        whole &= found;
        *empty = found && (!rows[d].n || !narrow(q, d, &rows[d], wanted));
    }
    return whole;
}

/* Every combination of the chains in a box, or of those with one loop in a slot; whether nothing else can be in it. */
static int search_box(Boxes *q, const Box *box, int all) {
    S *s = q->s;
    Join *w = calloc(1, sizeof *w);
    int empty = 0, whole = 0, anywhere[MAXF];
    w->q = q;
    w->n = q->t->nterms + q->t->nmarks + s->A;
    for (int f = 0; f < s->F; f++) anywhere[f] = (2 << q->t->nmarks) - 1;
    for (int d = 0; d < s->D && !empty; d++) {
        const Empty *known = known_empty(q, box, d, anywhere);
        empty = known && known->whole;
    }
    box_bound(q, box);
    for (int d = 0; d < s->D && !empty && !all; d++) ragged(q, box, d, 0, anywhere, &w->rows[d]);
    if (!empty) whole = list_all(q, box, all, w->rows, &empty);
    if (!empty && !s->stopped) join_rows(w);
    for (int d = 0; d < s->D; d++) free(w->rows[d].value), free(w->place[d]);
    free(w);
    return (whole || empty) && !s->stopped;
}

/* How much more a box costs at least with a count at `value`. */
static double dearer(const Boxes *q, Box *box, const double *z, int d, int i, int value) {
    const Form *form = &q->form[d];
    int least = box->low[d][i];
    double sum = 0;
    box->low[d][i] = value;
    for (int j = 0; j < q->t->nterms; j++) {
        if (!z[j] || (form->of[j] != i && form->all[j] != i)) continue;
        int o = form->inner && q->s->class[q->t->term[j].operand][d] == WINDOW ? form->win->dim[0] : d;
        sum += z[j] * (term_factor(q, box, j, o) / q->f[o][j] - 1);
    }
    box->low[d][i] = least;
    return sum;
}

/* What is best halved in a box; returns how much is in it. */
static double widest(Boxes *q, Box *box, double bound, Cut *cut) {
    double most = 1, large = 1, z[MAXJ];
    int timed = q->s->timed > 0;
    *cut = (Cut){0, 0, 0};
    box_bound(q, box);
    for (int j = 0; j < q->t->nterms; j++) {
        z[j] = q->t->term[j].coefficient;
        for (int d = 0; d < q->s->D; d++) z[j] *= q->f[d][j];
    }
    for (int d = 0; d < q->s->D; d++) {
        const Form *form = &q->form[d];
        double ways = 1;
        for (int i = 0; i < form->ncounts + q->s->A; i++) {
            int axis = i >= form->ncounts, x = *low_of(form, box, d, i), y = *high_of(form, box, d, i);
            if (!axis && (form->count[i].tile || form->count[i].what == BORDER)) continue;
            ways *= y - x + 1;
            if (x == y) continue;
            int middle = (int)sqrt((double)x * y);
            double score = (double)y / x * (axis ? AXES[timed] : 1);
            if (!axis) {
                double more = dearer(q, box, z, d, i, 1 + middle) / (q->most - bound + 1);
                if (more > DECISIVE[timed]) score = 1e6 * more;
            }
            if (score > most) most = score, *cut = (Cut){d, i, middle};
        }
        large = larger(large, ways);
    }
    return large;
}

/* A box in which not all chains were looked for, as there were too many. */
typedef struct Late {
    const Plan *plan;
    double bound;
    Box box;
} Late;

enum { MOST_LATE = 1 << 12 };

/* Puts off the rest of a box until it is known that its bound is below the best. */
static void put_off(Boxes *q, const Box *box, double bound) {
    S *s = q->s;
    if (!s->late) s->late = malloc(sizeof(Late) * MOST_LATE);
    if (s->stopped || s->nlate == MOST_LATE) q->open = smaller(q->open, bound);
    else s->late[s->nlate++] = (Late){q->plan, bound, *box};
}

static int by_lateness(const void *x, const void *y) {
    const Late *a = x, *b = y;
    if (a->bound != b->bound) return a->bound < b->bound ? -1 : 1;
    if (a->plan != b->plan) return a->plan->number - b->plan->number;
    return memcmp(&a->box, &b->box, sizeof a->box);
}

/* The rest of what was put off; the least bound of what was not looked at. */
static double search_late(S *s) {
    double open = INFINITY;
    qsort(s->late, s->nlate, sizeof *s->late, by_lateness);
    for (int i = 0; i < s->nlate && s->late[i].bound < s->best; i++) {
        const Late *x = &s->late[i];
        Boxes q = {s, &s->setting[x->plan->setting], x->plan, x->plan->form, s->best - 1, {{0}}, INFINITY};
        if (s->stopped || !search_box(&q, &x->box, PATIENT)) open = smaller(open, x->bound);
    }
    return open;
}

/* Looks into a box if so much in it is little enough; whether it is done with. */
static int settle(Boxes *q, const Box *box, double bound, double large) {
    if (large <= SMALL && search_box(q, box, 0)) return 1;
    if (bound > q->most) return 1;
    if (large == 1 && !search_box(q, box, 1)) put_off(q, box, bound);
    return large == 1;
}

/* Cuts a box in two; their bounds. */
static void halve(Boxes *q, const Box *box, const Cut *cut, Box half[2], double bound[2]) {
    half[0] = half[1] = *box;
    *high_of(&q->form[cut->dim], &half[0], cut->dim, cut->i) = cut->at;
    *low_of(&q->form[cut->dim], &half[1], cut->dim, cut->i) = cut->at + 1;
    for (int i = 0; i < 2; i++) bound[i] = reduce(q, &half[i], propagate(q, &half[i], 1 << cut->dim));
}

static void search_boxes(Boxes *q, Box *box, double bound) {
    S *s = q->s;
    Box half[2];
    double bounds[2];
    Cut cut;
    if (bound > q->most) {
        s->discarded[bound == INFINITY ? EMPTY : COSTLY]++;
        return;
    }
    s->pairs++;
    if (overspent(s, s->W && !s->timed ? BOX : 8) || (!(s->pairs & 0xfff) && stop(s))) {
        q->open = smaller(q->open, bound);
        return;
    }
    if (settle(q, box, bound, widest(q, box, bound, &cut))) return;
    halve(q, box, &cut, half, bounds);
    int first = bounds[0] >= bounds[1];
    search_boxes(q, &half[first], bounds[first]);
    search_boxes(q, &half[!first], bounds[!first]);
}
