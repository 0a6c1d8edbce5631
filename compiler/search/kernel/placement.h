/* ---- one placement: filter rows by their bounds, then search depth first ---- */

/* Rows that follow each other in the order of the search, and may be left out together; see bundles.h. */
typedef struct {
    int first, n, inner[2]; /* the two bundles that it consists of, or -1 */
    int least, most;        /* of the numbers of its rows */
} Bundle;

typedef struct {
    S *s;
    const Setting *t;
    const Placement *p;
    int J, M, W, G, separable;
    int order[MAXG];          /* groups in the order of the search */
    int n[MAXG];              /* rows left, by depth */
    int *row[MAXG];
    double *bound[MAXG];
    Bundle *bundle[MAXG]; /* the first one has all rows */
    double *hull[MAXG];   /* of each bundle the least and the most; but for options, with the groups still to come at theirs */
    int nbundles[MAXG], cbundles[MAXG];
    double low[MAXG + 1][WIDTH], high[MAXG + 1][WIDTH]; /* by depth: the least and most of the groups from there on */
    double gl[MAXG][WIDTH], gh[MAXG][WIDTH];
    int chosen[MAXG];
    int twin[MAXG]; /* the depth before that has the same table, or -1; see mirrored() */
    double cycles; /* where they are a factor of the cost and known; else 0 */
    int probe;     /* any schedule will do, which is not kept */
    double known;  /* what it costs, if one is found */
} Search;

static const double *rowp(const Search *q, int depth, int r) {
    return q->p->table[q->order[depth]]->row + (size_t)r * q->W;
}

static void multiply(const Search *q, const double *x, const double *y, double *z) {
    for (int k = 0; k < q->W; k++) z[k] = x[k] * y[k];
}

/* The cost of an energy: rounded once, so that no smaller product has a greater one. */
static double worth(const Search *q, double energy) {
    if (!q->cycles) return energy;
    return q->s->timed == FRONT ? energy - least_known(q->s, q->cycles) : energy * q->cycles;
}

/* The cost of rows, or less if that is above `most` anyway. */
static double cost_up_to(const Search *q, const double *x, const double *low, const double *high, double most) {
    const S *s = q->s;
    const Setting *t = q->t;
    double sum = t->constant, z[MAXJ];
    for (int j = 0; j < q->J; j++) {
        double c = t->term[j].coefficient;
        sum += c * x[j] * (c > 0 ? low[j] : high[j]);
    }
    if (q->cycles) return worth(q, sum + t->price * q->cycles);
    if (!s->timed) return sum;
    double least = combined(s, t, sum, whole_cycles(larger(s->fewest, x[t->compute] * low[t->compute])));
    if (least > most) return least;
    Times times;
    for (int j = 0; j < q->J; j++) z[j] = x[j] * low[j];
    take_times(s, t, q->p->order, z, &times);
    least = combined(s, t, sum, cycles_of(s, t, NULL, z, &times));
    return least > most ? least : combined(s, t, sum, cycles_of(s, t, q->p->order, z, &times));
}

static double cost(const Search *q, const double *x, const double *low, const double *high) {
    return cost_up_to(q, x, low, high, INFINITY);
}

static int fits(const Search *q, const double *x, const double *low) {
    const Setting *t = q->t;
    const double *tile = x + q->J, *least = low + q->J;
    if (q->s->slowest && x[t->compute] * low[t->compute] > q->s->slowest) return 0;
    for (int a = 0; a < q->s->A; a++)
        if (x[q->J + q->M + a] * low[q->J + q->M + a] > q->s->size[a]) return 0;
    for (int k = 0; k < t->ncaps; k++) {
        double sum = 0;
        for (int i = 0; i < t->nholds[k]; i++) {
            int m = t->holds[k][i];
            sum += t->weight[m] * tile[m] * least[m];
        }
        if (sum > t->limit[k]) return 0;
    }
    return 1;
}

/* What rows that follow each other have at least, and at most. */
static void extremes_of(const Search *q, int depth, int first, int n, double *restrict low, double *restrict high) {
    for (int k = 0; k < q->W; k++) low[k] = INFINITY, high[k] = 0;
    for (int i = first; i < first + n; i++) {
        const double *x = rowp(q, depth, q->row[depth][i]);
        for (int k = 0; k < q->W; k++) low[k] = smaller(x[k], low[k]), high[k] = larger(x[k], high[k]);
    }
}

static void extremes(Search *q, int depth) { extremes_of(q, depth, 0, q->n[depth], q->gl[depth], q->gh[depth]); }

/* Whether nothing costs anything but iterations. */
static int cycles_alone(const S *s) {
    return !s->timed && s->nplace && s->setting[0].nterms == 1 && s->setting[0].compute == 0;
}

/* Whether the first schedule that is found will do, of those that cost as much: of cycles alone very many have as few. */
static int any_will_do(const Search *q) { return q->J == 1 && !q->s->timed; }

/* Whether a value is worth looking at: less than the best, or equal to it in an earlier placement; a product may be less
 * than one that it is rounded to.
 */
static int hopeful(const Search *q, double value) {
    if (q->known < INFINITY) return 0;
    if (value != q->s->best) return value < q->s->best;
    if (any_will_do(q)) return !q->s->found;
    return !q->s->found || q->p->number <= q->s->bestplace || q->s->timed == PRODUCT;
}

/* Drops rows whose bound is no good, until nothing changes; returns the placement's bound, infinite if none is left. The
 * extremes of the rows have to be known.
 */
static double filter(Search *q) {
    double least = INFINITY;
    for (int changed = 1; changed;) {
        changed = 0;
        for (int d = 0; d < q->G; d++) {
            double low[WIDTH], high[WIDTH];
            for (int k = 0; k < q->W; k++) {
                low[k] = high[k] = 1;
                for (int o = 0; o < q->G; o++)
                    if (o != d) low[k] *= q->gl[o][k], high[k] *= q->gh[o][k];
            }
            int n = 0;
            least = INFINITY;
            for (int i = 0; i < q->n[d]; i++) {
                const double *x = rowp(q, d, q->row[d][i]);
                double bound = cost_up_to(q, x, low, high, q->s->best);
                int why = !hopeful(q, bound) ? COSTLY : fits(q, x, low) ? FINE : LARGE;
                if (why != FINE) {
                    q->s->discarded[why]++;
                    continue;
                }
                q->row[d][n] = q->row[d][i];
                q->bound[d][n++] = bound;
                if (bound < least) least = bound;
            }
            if (n < q->n[d]) {
                q->n[d] = n;
                if (!n) return INFINITY;
                extremes(q, d);
                changed = 1;
            }
        }
    }
    return least;
}

/* Whether rows are searched by their iterations: where these cost something, and not alone. */
static int splits(const Search *q) { return q->t->compute >= 0 && (q->J > 1 || q->s->timed); }

/* Whether cycles are those of compute, if any: then costs are sums in what is searched at once. */
static int steady(const S *s) { return !s->timed || (s->timed >= PRODUCT && !s->ports); }

static int separable(const Search *q, int a, int b) {
    for (int j = 0; j < q->J; j++)
        if ((j != q->t->compute || !splits(q)) && q->gl[a][j] != q->gh[a][j] && q->gl[b][j] != q->gh[b][j]) return 0;
    return 1;
}

/* Coupled groups first, then small tables before large ones; a separable pair last. */
static void choose_order(Search *q) {
    const S *s = q->s;
    int n = q->G;
    for (int i = 0; i < n; i++) q->order[i] = i;
    for (int i = 1; i < n; i++)
        for (int k = i; k > 0; k--) {
            int a = q->order[k - 1], b = q->order[k];
            int ka = s->gdims[a] > 1 ? -1 : q->p->table[a]->n, kb = s->gdims[b] > 1 ? -1 : q->p->table[b]->n;
            if (ka <= kb) break;
            q->order[k - 1] = b;
            q->order[k] = a;
        }
}

static void swap_columns(double *x, double *y) {
    double other[WIDTH];
    memcpy(other, x, sizeof other);
    memcpy(x, y, sizeof other);
    memcpy(y, other, sizeof other);
}

/* Swaps two groups in the order of the search, with their rows and the extremes of these. */
static void swap_groups(Search *q, int i, int k) {
    int group = q->order[i], n = q->n[i], *row = q->row[i];
    double *bound = q->bound[i];
    q->order[i] = q->order[k], q->order[k] = group;
    q->n[i] = q->n[k], q->n[k] = n;
    q->row[i] = q->row[k], q->row[k] = row;
    q->bound[i] = q->bound[k], q->bound[k] = bound;
    swap_columns(q->gl[i], q->gl[k]);
    swap_columns(q->gh[i], q->gh[k]);
}

static void load(Search *q) {
    for (int d = 0; d < q->G; d++) {
        const Table *table = q->p->table[q->order[d]];
        q->n[d] = table->n;
        for (int i = 0; i < table->n; i++) q->row[d][i] = i;
    }
}

static void begin(Search *q, S *s, const Placement *p) {
    memset(q, 0, sizeof *q);
    q->s = s;
    q->t = &s->setting[p->setting];
    q->p = p;
    q->J = q->t->nterms;
    q->M = q->t->nmarks;
    q->W = q->J + q->M + s->A;
    q->G = s->G;
    q->known = INFINITY;
    choose_order(q);
    for (int d = 0; d < q->G; d++) {
        q->row[d] = malloc(sizeof(int) * (p->table[q->order[d]]->n + 1));
        q->bound[d] = malloc(sizeof(double) * (p->table[q->order[d]]->n + 1));
    }
    load(q);
}

static void finish(Search *q) {
    for (int d = 0; d < q->G; d++) {
        free(q->row[d]);
        free(q->bound[d]);
        free(q->bundle[d]);
        free(q->hull[d]);
    }
}
