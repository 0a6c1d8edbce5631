/* ---- branch and bound over boxes; the chains within a small one are combined ---- */

enum { SMALL = 4, FEW = 5, BOX = 20 }; /* BOX: the work that a box with windows takes, in chains looked at, where ports are not limited */

static const double DECISIVE[] = {0.6, 0.4}; /* what is dearer by this part of what is left is halved first; then where cycles count */
static const double SLOWLY = 1.25;  /* where a proof is seldom reached, the last limit should not be far below what is left */
static const double AXES[] = {12, 100};      /* how much sooner than events the trips on axes are halved */

typedef struct {
    Boxes *q;
    int n, order[MAXD], chosen[MAXD];
    Rows rows[MAXD];
    double low[MAXD + 1][WIDTH], high[MAXD + 1][WIDTH]; /* by depth: factors, tiles and trips of the dims to come */
    int least[MAXD][MAXV + MAXA]; /* of each count; then the most trips */
    const int *now[MAXD];       /* counts and trips of the chain chosen, or these */
    uint64_t *place[MAXD];
} Join;

static const int *row_at(const Join *w, int d, int i) { return w->rows[d].value + (size_t)i * w->rows[d].width; }

static int operand_of(const Setting *t, int column) {
    return column < t->nterms ? t->term[column].operand : t->operand[column - t->nterms];
}

/* Factors of terms, tiles of marks, trips on axes; of windows none. */
static void row_factors(const Join *w, int d, int i, double *x) {
    const Form *form = &w->q->form[d];
    const int *row = row_at(w, d, i);
    int C = w->q->t->nterms + w->q->t->nmarks;
    for (int k = 0; k < C; k++) {
        int none = form->of[k] < 0 || (form->win && w->q->s->class[operand_of(w->q->t, k)][d] == WINDOW);
        x[k] = none ? 1 : row[form->of[k]];
    }
    for (int a = 0; a < w->q->s->A; a++) x[C + a] = row[form->ncounts + a];
}

/* Of how many instances the busiest is one, as far as a dim is spread over them by the chain chosen. */
static double spread_over(const Join *w, int j, int d) {
    const Term *term = &w->q->t->term[j];
    double n = 1;
    if (d < 0 || term->kind != BUSIEST) return n;
    for (int a = 0; a < w->q->s->A; a++)
        if (spread(w->q->s, term, d) >> a & 1) n *= w->now[d][w->q->form[d].ncounts + a];
    return n;
}

/* What the windows make of a term, or of a tile, with the chains chosen so far. */
static double windows_of(const Join *w, int k) {
    const S *s = w->q->s;
    const Setting *t = w->q->t;
    const Form *form = w->q->form;
    double all = 1;
    for (int g = 0; g < s->G && s->W; g++) {
        int at = s->wtable[operand_of(t, k)][g];
        if (at < 0) continue;
        const Win *x = &s->win[at];
        int o = x->dim[0], i = x->dim[1], m = k - t->nterms;
        if (m < 0) {
            all *= window_words(w->q, k, o, w->now[o], w->now[i < 0 ? 0 : i], spread_over(w, k, o) * spread_over(w, k, i));
            continue;
        }
        double outer = w->now[o][form[o].of[k]], inner = i < 0 ? 1 : w->now[i][form[i].of[k]];
        all *= tile_of(x, border_of(&form[o], m, w->now[o]), outer, inner, i < 0 ? 1 : w->now[i][form[i].residues[m]]);
    }
    return all;
}

/* Where the fan-outs may stand: the segments, as bits, one field for each fan-out. */
static uint64_t places_of(const Join *w, int d, int i) {
    const Form *form = &w->q->form[d];
    const int *place = row_at(w, d, i) + form->ncounts + w->q->s->A;
    int marks = w->q->t->nmarks;
    uint64_t all = 0;
    for (int f = 0; f < w->q->s->F && (f + 1) * (marks + 1) <= 64; f++) {
        int first = place[2 * f] < 0 ? 0 : form->slots.segment[place[2 * f]];
        int last = place[2 * f + 1] == form->K ? marks : form->slots.segment[place[2 * f + 1]];
        for (int k = first; k <= last; k++) all |= (uint64_t)1 << (f * (marks + 1) + k);
    }
    return all;
}

static int placeable(const Join *w, uint64_t places) {
    int marks = w->q->t->nmarks;
    for (int f = 0; f < w->q->s->F && (f + 1) * (marks + 1) <= 64; f++)
        if (!(places >> (f * (marks + 1)) & (((uint64_t)1 << (marks + 1)) - 1))) return 0;
    return 1;
}

static int join_fits(const Join *w, const double *x, const double *low) {
    const Setting *t = w->q->t;
    int J = t->nterms, C = J + t->nmarks;
    for (int a = 0; a < w->q->s->A; a++)
        if (x[C + a] * low[C + a] > w->q->s->size[a]) return 0;
    for (int k = 0; k < t->ncaps; k++) {
        double sum = 0;
        for (int m = J; m < C; m++)
            if (t->held[k] >> (m - J) & 1) sum += t->weight[m - J] * x[m] * low[m] * windows_of(w, m);
        if (sum > t->limit[k]) return 0;
    }
    return 1;
}

static double join_cost(const Join *w, const double *x, const double *low, const double *high) {
    double sum = w->q->t->constant, z[MAXJ];
    if (w->q->s->timed) {
        for (int j = 0; j < w->q->t->nterms; j++) z[j] = x[j] * low[j] * windows_of(w, j);
        return timed_cost(w->q->s, w->q->t, w->q->plan->order, z);
    }
    for (int j = 0; j < w->q->t->nterms; j++) {
        double c = w->q->t->term[j].coefficient;
        sum += c * x[j] * (c < 0 ? high[j] : low[j]) * windows_of(w, j);
    }
    return sum;
}

static void take_best(Join *w, double value, const double *x) {
    S *s = w->q->s;
    s->bestplan = w->q->plan;
    for (int d = 0; d < s->D; d++) {
        const Form *form = &w->q->form[d];
        const int *loops = row_at(w, d, w->chosen[d]) + form->ncounts + s->A + 2 * MAXF;
        for (int i = 0; i <= loops[0]; i++) s->bestloops[d][i] = loops[i];
    }
    for (int j = 0; j < w->q->t->nterms; j++) s->bestterms[j] = x[j] * windows_of(w, j);
    if (s->judge) {
        s->worth = smaller(s->worth, judged(s, w->q->t, w->q->plan->order, s->bestterms));
        w->q->most = smaller(w->q->most, s->worth);
        s->best = w->q->most + 1;
        return;
    }
    s->best = value;
    s->found = 1;
    w->q->most = value - 1;
}

static void join(Join *w, int depth, const double *x, uint64_t places) {
    S *s = w->q->s;
    if (depth == s->D) {
        take_best(w, join_cost(w, x, w->low[depth], w->low[depth]), x);
        return;
    }
    int d = w->order[depth], W = w->n;
    for (int i = 0; i < w->rows[d].n && !spent(s); i++) {
        double y[WIDTH];
        uint64_t both = places & w->place[d][i];
        s->nodes++;
        if (!placeable(w, both)) continue;
        row_factors(w, d, i, y);
        for (int k = 0; k < W; k++) y[k] *= x[k];
        w->now[d] = row_at(w, d, i);
        int why = !join_fits(w, y, w->low[depth + 1]) ? LARGE
                  : join_cost(w, y, w->low[depth + 1], w->high[depth + 1]) > w->q->most ? COSTLY : FINE;
        if (why != FINE) {
            s->discarded[why]++;
            continue;
        }
        w->chosen[d] = i;
        join(w, depth + 1, y, both);
    }
    w->now[d] = w->least[d];
}

static void join_rows(Join *w) {
    S *s = w->q->s;
    double one[WIDTH];
    for (int d = 0; d < s->D; d++) {
        int at = d;
        while (at > 0 && w->rows[w->order[at - 1]].n > w->rows[d].n) w->order[at] = w->order[at - 1], at--;
        w->order[at] = d;
        w->place[d] = realloc(w->place[d], sizeof(uint64_t) * (w->rows[d].n + 1));
        for (int i = 0; i < w->rows[d].n; i++) w->place[d][i] = places_of(w, d, i);
        for (int k = 0; k < w->q->form[d].ncounts; k++) {
            w->least[d][k] = INT_MAX;
            for (int i = 0; i < w->rows[d].n; i++)
                if (row_at(w, d, i)[k] < w->least[d][k]) w->least[d][k] = row_at(w, d, i)[k];
        }
        int *trips = w->least[d] + w->q->form[d].ncounts;
        memset(trips, 0, sizeof(int) * s->A);
        for (int i = 0; i < w->rows[d].n; i++)
            for (int a = 0; a < s->A; a++) trips[a] = most_of(trips[a], row_at(w, d, i)[w->q->form[d].ncounts + a]);
        w->now[d] = w->least[d];
    }
    for (int k = 0; k < w->n; k++) one[k] = w->low[s->D][k] = w->high[s->D][k] = 1;
    for (int depth = s->D - 1; depth >= 0; depth--)
        for (int k = 0; k < w->n; k++) {
            double low = INFINITY, high = 0, x[WIDTH];
            for (int i = 0; i < w->rows[w->order[depth]].n; i++) {
                row_factors(w, w->order[depth], i, x);
                low = smaller(low, x[k]), high = larger(high, x[k]);
            }
            w->low[depth][k] = w->low[depth + 1][k] * low;
            w->high[depth][k] = w->high[depth + 1][k] * high;
        }
    join(w, 0, one, ~(uint64_t)0);
}

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

/* The limits of a box that are best halved; returns how much is in it. */
static double widest(Boxes *q, Box *box, double bound, int *dim, int **low, int **high) {
    double most = 1, large = 1, z[MAXJ];
    int timed = q->s->timed > 0;
    box_bound(q, box);
    for (int j = 0; j < q->t->nterms; j++) {
        z[j] = q->t->term[j].coefficient;
        for (int d = 0; d < q->s->D; d++) z[j] *= q->f[d][j];
    }
    for (int d = 0; d < q->s->D; d++) {
        const Form *form = &q->form[d];
        double ways = 1;
        for (int i = 0; i < form->ncounts + q->s->A; i++) {
            int axis = i - form->ncounts;
            if (axis < 0 && (form->count[i].tile || form->count[i].what == BORDER)) continue;
            int *x = axis < 0 ? &box->low[d][i] : &box->least[d][axis];
            int *y = axis < 0 ? &box->high[d][i] : &box->most[d][axis];
            ways *= *y - *x + 1;
            if (*x == *y) continue;
            double score = (double)*y / *x * (axis < 0 ? 1 : AXES[timed]);
            if (axis < 0) {
                double more = dearer(q, box, z, d, i, 1 + (int)sqrt((double)*x * *y)) / (q->most - bound + 1);
                if (more > DECISIVE[timed]) score = 1e6 * more;
            }
            if (score > most) most = score, *dim = d, *low = x, *high = y;
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

static void search_boxes(Boxes *q, const Box *box, double bound) {
    S *s = q->s;
    int *low = NULL, *high = NULL, dim = 0;
    Box part = *box;
    if (bound > q->most) {
        s->discarded[bound == INFINITY ? EMPTY : COSTLY]++;
        return;
    }
    s->pairs++;
    if (overspent(s, s->W && !s->timed ? BOX : 8) || (!(s->pairs & 0xfff) && stop(s))) {
        q->open = smaller(q->open, bound);
        return;
    }
    double large = widest(q, &part, bound, &dim, &low, &high);
    if (large <= SMALL && search_box(q, box, 0)) return;
    if (bound > q->most) return;
    if (large == 1) {
        if (!search_box(q, box, 1)) put_off(q, box, bound);
        return;
    }
    int first = *low, last = *high, middle = (int)sqrt((double)first * last);
    Box other = *box;
    int *other_low = (int *)((char *)&other + ((char *)low - (char *)&part));
    *high = middle;
    *other_low = middle + 1;
    double x = reduce(q, &part, propagate(q, &part, 1 << dim)), y = reduce(q, &other, propagate(q, &other, 1 << dim));
    if (x < y) search_boxes(q, &part, x);
    search_boxes(q, &other, y);
    if (x >= y) search_boxes(q, &part, x);
    (void)last;
}

/* ---- boxes of all plans by their bounds: where ports are limited, see geometric.h ---- */

typedef struct Node {
    double bound;
    int plan, number, whole;  /* `whole`: the box of the plan */
    unsigned short limit[];   /* of counts and trips */
} Node;

typedef struct {
    Node **node;
    int n, capacity, made, opened;
} Heap;

enum { MOST_NODES = 1 << 18, DIVES = 8 }; /* DIVES: of so many boxes one is halved to the end, to find something */

static int sooner(const Node *x, const Node *y) { return x->bound < y->bound || (x->bound == y->bound && x->number < y->number); }

static void sift_up(Heap *h, int at) {
    for (Node *x = h->node[at]; at > 0 && sooner(x, h->node[(at - 1) / 2]); at = (at - 1) / 2) {
        h->node[at] = h->node[(at - 1) / 2];
        h->node[(at - 1) / 2] = x;
    }
}

static Node *pop_box(Heap *h) {
    Node *first = h->node[0], *x = h->node[--h->n];
    int at = 0;
    for (int child; (child = 2 * at + 1) < h->n; at = child) {
        if (child + 1 < h->n && sooner(h->node[child + 1], h->node[child])) child++;
        if (!sooner(h->node[child], x)) break;
        h->node[at] = h->node[child];
    }
    h->node[at] = x;
    return first;
}

/* Keeps a box; a plan's whole box is not written down. */
static void push_box(Heap *h, const Boxes *q, int plan, const Box *box, double bound) {
    int n = 0, D = q->s->D, A = q->s->A;
    for (int d = 0; d < D && box; d++) n += 2 * (q->form[d].ncounts + A);
    Node *x = malloc(sizeof *x + sizeof(unsigned short) * n);
    *x = (Node){bound, plan, h->made++, !box};
    unsigned short *at = x->limit;
    for (int d = 0; d < D && box; d++) {
        for (int i = 0; i < q->form[d].ncounts; i++) *at++ = (unsigned short)box->low[d][i], *at++ = (unsigned short)box->high[d][i];
        for (int a = 0; a < A; a++) *at++ = (unsigned short)box->least[d][a], *at++ = (unsigned short)box->most[d][a];
    }
    if (h->n == h->capacity) h->node = realloc(h->node, sizeof(Node *) * (h->capacity = 2 * h->capacity + 1024));
    h->node[h->n++] = x;
    sift_up(h, h->n - 1);
}

static void read_box(const Boxes *q, const Node *x, Box *box) {
    const unsigned short *at = x->limit;
    for (int d = 0; d < q->s->D; d++) {
        for (int i = 0; i < q->form[d].ncounts; i++) box->low[d][i] = *at++, box->high[d][i] = *at++;
        for (int a = 0; a < q->s->A; a++) box->least[d][a] = *at++, box->most[d][a] = *at++;
    }
}

/* The bound of a box as that of a geometric program, and what that leaves of the box. */
static double geometric_bound(Boxes *q, Box *box, double bound) {
    S *s = q->s;
    if (!s->program) s->program = calloc(1, sizeof(Program));
    int steps = 0;
    box_bound(q, box);
    double part = geometric(s->program, q, box, &steps);
    s->work += steps * TANGENT;
    if (part > 1 + 1e-9) return INFINITY;
    bound = larger(bound, ceil(part * (1 - 1e-9) * (q->most + 1)));
    int changed = part > 0 ? limit_variables(s->program, q, box, 1 + 1e-9 - part) : 0;
    if (bound > q->most || empty_box(q, box)) return INFINITY;
    return changed ? larger(bound, propagate(q, box, changed)) : bound;
}

/* Looks into a box, or halves it. The better half is left in the box, with its bound, if there is one. */
static int open_box(Heap *h, Boxes *q, int plan, Box *box, double *bound) {
    int *low = NULL, *high = NULL, dim = 0, at = 0;
    *bound = geometric_bound(q, box, *bound);
    if (*bound > q->most) return q->s->discarded[COSTLY]++, 0;
    double slack = 1 - *bound / (q->most + 1), large = widest(q, box, *bound, &dim, &low, &high);
    if (large <= SMALL && search_box(q, box, 0)) return 0;
    if (*bound > q->most) return 0;
    if (large == 1) {
        if (!search_box(q, box, 1)) put_off(q, box, *bound);
        return 0;
    }
    at = (int)sqrt((double)*low * *high);
    if (large > SMALL && !q->s->program->full) best_split(q->s->program, q, box, slack, &dim, &low, &high, &at);
    Box other = *box;
    *(int *)((char *)&other + ((char *)low - (char *)box)) = at + 1;
    *high = at;
    double x = larger(*bound, reduce(q, box, propagate(q, box, 1 << dim))), y = larger(*bound, reduce(q, &other, propagate(q, &other, 1 << dim)));
    if (x <= y && y <= q->most) push_box(h, q, plan, &other, y);
    if (x > y && x <= q->most) push_box(h, q, plan, box, x);
    if (x > y) *box = other;
    *bound = smaller(x, y);
    return *bound <= q->most;
}

/* The least value up to `most`, the least bound first. */
static void search_best_first(S *s, double most) {
    Heap h = {0};
    double open = INFINITY;
    s->best = most + 1;
    s->nlate = 0;
    for (int i = 0; i < s->nplans && s->plan[i].bound <= most; i++) {
        Boxes q = {s, NULL, NULL, s->plan[i].form, most, {{0}}, INFINITY};
        push_box(&h, &q, i, NULL, s->plan[i].bound);
    }
    while (h.n && h.node[0]->bound < s->best) {
        if (overspent(s, 8) || h.n > MOST_NODES || (!(s->pairs++ & 0xff) && stop(s))) break;
        Node *x = pop_box(&h);
        const Plan *p = &s->plan[x->plan];
        Boxes q = {s, &s->setting[p->setting], p, p->form, s->best - 1, {{0}}, INFINITY};
        Box box;
        memset(&box, 0, sizeof box);
        if (x->whole) whole_box(s, p->form, &box), propagate(&q, &box, (1 << s->D) - 1);
        else read_box(&q, x, &box);
        int dive = h.opened++ % DIVES == 0, more;
        double bound = x->bound;
        do more = open_box(&h, &q, x->plan, &box, &bound);
        while (more && dive && !overspent(s, 8));
        if (more) push_box(&h, &q, x->plan, &box, bound);
        open = smaller(open, q.open);
        most = smaller(most, s->worth);
        free(x);
    }
    if (h.n) open = smaller(open, h.node[0]->bound);
    open = smaller(open, search_late(s));
    s->lower = larger(s->lower, smaller(s->best, ceil(open)));
    for (int i = 0; i < h.n; i++) free(h.node[i]);
    free(h.node);
}

/* ---- plans in the order of their bounds ---- */

static int by_plan(const void *x, const void *y) {
    const Plan *a = x, *b = y;
    if (a->bound != b->bound) return a->bound < b->bound ? -1 : 1;
    return a->number - b->number;
}

/* The least value up to `most`, if there is any; what was not looked at costs `open` at least. */
static double search_round_of_plans(S *s, double most) {
    double open = INFINITY;
    s->best = most + 1;
    s->nlate = 0;
    for (int i = 0; i < s->nplans && s->plan[i].bound < s->best; i++) {
        const Plan *p = &s->plan[i];
        Boxes q = {s, &s->setting[p->setting], p, p->form, s->best - 1, {{0}}, INFINITY};
        Box box;
        whole_box(s, p->form, &box);
        double bound = propagate(&q, &box, (1 << s->D) - 1);
        if (s->stopped) q.open = bound;
        else search_boxes(&q, &box, bound);
        open = smaller(open, q.open);
    }
    return open;
}

/* The least value up to `most`, with steps of any size: in rounds with a growing limit. */
static void search_in_rounds(S *s, double most) {
    double floor = s->nplans ? s->plan[0].bound : most + 1, limit = most, open = INFINITY;
    if (floor > -INFINITY && !(s->judge && s->timed)) limit = floor + ceil((most - floor) / (s->timed ? 8 : 64));
    s->lower = larger(s->lower, floor);
    while (!s->stopped) {
        limit = smaller(limit, most);
        open = search_round_of_plans(s, limit);
        most = smaller(most, s->worth);
        int last = s->found || limit >= most;
        if (last) open = smaller(open, search_late(s));
        for (int i = 0; i < s->nlate && !last; i++) open = smaller(open, s->late[i].bound);
        s->lower = larger(s->lower, smaller(s->best, ceil(open)));
        if (last) break;
        limit = floor + (s->timed ? SLOWLY : 2) * (limit - floor) + 1;
    }
}

/* The answer of the judge to what rounds have found. */
static void judge_found(S *s) {
    const Plan *p = s->bestplan;
    s->worth = smaller(s->worth, judged(s, &s->setting[p->setting], p->order, s->bestterms));
}

/* The same within a part of the budget that is left; whether it came to an end. */
static int try_rounds(S *s, double most, PyObject *judge, double part) {
    int64_t budget = s->budget;
    PyObject *asked = s->judge;
    s->judge = judge;
    s->budget = s->work + (int64_t)larger(1, part * (budget - s->work));
    search_in_rounds(s, most);
    s->judge = asked;
    s->budget = budget;
    if (s->stopped != 1 || overdue(s)) return 1;
    s->stopped = 0;
    return 0;
}

/* The same. Where cycles count, rounds that ask nobody come first. If what they prove to have the least bound costs more, others
 * ask about all that they find. What is not proven in their parts of the budget is left to geometric programs.
 */
static void search_plans(S *s, double most) {
    qsort(s->plan, s->nplans, sizeof *s->plan, by_plan);
    s->lower = s->nplans ? s->plan[0].bound : most + 1;
    if (s->timed != TIMED || !s->budget) search_in_rounds(s, most);
    else {
        int done = try_rounds(s, most, NULL, 0.5);
        if (s->judge && s->found && s->stopped != 2) {
            judge_found(s);
            most = smaller(most, s->worth);
            if (done && !s->stopped && most >= s->best) done = try_rounds(s, most, s->judge, 0.5);
            most = smaller(most, s->worth);
        } else if (s->found)
            most = s->best - 1;
        if (!done) search_best_first(s, most);
    }
    if (s->partial) s->lower = -INFINITY;
}
