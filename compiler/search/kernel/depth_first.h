/* ---- depth first through the rows of a placement ---- */

/* The products of the factors of the rows chosen. */
static void chosen_terms(const Search *q, double *z) {
    for (int j = 0; j < q->J; j++) {
        z[j] = 1;
        for (int d = 0; d < q->G; d++) z[j] *= rowp(q, d, q->chosen[d])[j];
    }
}

/* Energy x cycles of the rows chosen, to the last digit. */
static Exact product_of(const Search *q) {
    double z[MAXJ];
    chosen_terms(q, z);
    return (Exact)(energy_of(q->t, z) + q->t->price * q->cycles) * (int64_t)q->cycles;
}

static void record(Search *q, double value, const int *rows) {
    S *s = q->s;
    Exact product = q->cycles ? product_of(q) : 0;
    int better = !s->found || value < s->best || product < s->bestproduct;
    if (!better && value == s->best && product == s->bestproduct) {
        if (q->p->number != s->bestplace) better = q->p->number < s->bestplace;
        else
            for (int g = 0; g < q->G; g++)
                if (rows[g] != s->bestrow[g]) {
                    better = rows[g] < s->bestrow[g];
                    break;
                }
    }
    if (!better) return;
    s->best = value;
    s->bestproduct = product;
    s->found = 1, s->quick = 0;
    s->bestplace = q->p->number;
    memcpy(s->bestrow, rows, sizeof(int) * q->G);
    memcpy(s->besttable, q->p->table, sizeof s->besttable);
}

static void judge_rows(Search *q, double value, const int *rows) {
    S *s = q->s;
    double z[MAXJ];
    if (value > s->best || s->stopped) return;
    s->bestplace = (int)(q->p - s->placement);
    s->quick = 0;
    memcpy(s->bestrow, rows, sizeof(int) * q->G);
    memcpy(s->besttable, q->p->table, sizeof s->besttable);
    chosen_terms(q, z);
    s->best = smaller(s->best, judged(s, q->t, q->p->order, z));
}

/* Whether all that is known of the cycles of the rows chosen makes them cost too much. */
static int too_slow(const Search *q) {
    Times x;
    double z[MAXJ];
    chosen_terms(q, z);
    take_times(q->s, q->t, q->p->order, z, &x);
    double cycles = larger(cycles_of(q->s, q->t, q->p->order, z, &x), settled_cycles(q->s, q->t, q->p->order, z, &x));
    return combined(q->s, q->t, energy_of(q->t, z), cycles) > q->s->best;
}

static void leaf(Search *q, double value) {
    int rows[MAXG];
    for (int d = 0; d < q->G; d++) rows[q->order[d]] = q->chosen[d];
    if (q->probe) return (void)(q->known = value);
    if (q->s->each && too_slow(q)) return (void)q->s->discarded[COSTLY]++;
    if (q->s->judge) judge_rows(q, value, rows);
    else record(q, value, rows);
}

/* One of the last two groups, with what the groups before it have. */
typedef struct {
    Search *q;
    int depth, n;
    double weight[MAXJ], rest; /* its part of the cost is a sum; what all else costs at least */
    int used[MAXJ], nused;
    double others[WIDTH]; /* what the other one of the two has at least, with those before it */
    Ranked *option; /* rows, by their part */
} Options;

static double part_of(const Options *o, const double *low, const double *high) {
    double value = 0;
    for (int i = 0; i < o->nused; i++) {
        int j = o->used[i];
        value += o->weight[j] * (o->weight[j] > 0 ? low[j] : high[j]);
    }
    return value;
}

/* Lists the rows of a bundle that fit and are worth a look. */
static void list_options(Options *o, int at) {
    Search *q = o->q;
    const Bundle *b = &q->bundle[o->depth][at];
    const double *low = least_in(q, o->depth, at), *high = most_in(q, o->depth, at);
    if (b->n > ALONE && (!hopeful(q, worth(q, part_of(o, low, high) + o->rest)) || !fits(q, o->others, low))) return;
    for (int k = 0; k < 2 && b->inner[0] >= 0; k++) list_options(o, b->inner[k]);
    for (int i = b->first; b->inner[0] < 0 && i < b->first + b->n; i++) {
        const double *y = rowp(q, o->depth, q->row[o->depth][i]);
        double value = part_of(o, y, y);
        if (!hopeful(q, worth(q, value + o->rest)) || !fits(q, o->others, y)) continue;
        o->option[o->n++] = (Ranked){value, q->row[o->depth][i]};
    }
}

/* A term is of the second group, unless that has as much of it in all rows. */
static void begin_options(Options *o, Search *q, int depth, int other, const double *x, Ranked *option) {
    int second = q->G - 1;
    memset(o, 0, sizeof *o);
    o->q = q, o->depth = depth, o->option = option;
    multiply(q, x, q->gl[other], o->others);
    for (int j = 0; j < q->J; j++) {
        int constant = q->gl[second][j] == q->gh[second][j];
        o->weight[j] = constant == (depth == second) ? 0 : q->t->term[j].coefficient * o->others[j];
        if (o->weight[j] != 0) o->used[o->nused++] = j;
    }
}

static double least_listed(const Options *o) {
    double least = INFINITY;
    for (int i = 0; i < o->n; i++) least = smaller(least, o->option[i].key);
    return least;
}

/* The last two groups: no term depends on both, so the cost is a sum; walk the pairs from the cheapest up. */
static void pair(Search *q, const double *x) {
    int a = q->G - 2, b = q->G - 1;
    double fixed = q->t->constant + q->t->price * q->cycles;
    Ranked *option = malloc(sizeof(Ranked) * (q->n[a] + q->n[b] + 1));
    Options outer, inner;
    q->s->pairs++;
    begin_options(&outer, q, a, b, x, option);
    begin_options(&inner, q, b, a, x, option + q->n[a]);
    inner.rest = fixed + part_of(&outer, q->gl[a], q->gh[a]);
    list_options(&inner, 0);
    outer.rest = fixed + least_listed(&inner);
    if (inner.n) list_options(&outer, 0);
    const Ranked *oa = outer.option, *ob = inner.option;
    qsort(outer.option, outer.n, sizeof *oa, by_key);
    qsort(inner.option, inner.n, sizeof *ob, by_key);
    for (int i = 0; i < outer.n && hopeful(q, worth(q, fixed + oa[i].key + ob[0].key)) && !ticked(q->s, inner.n); i++) {
        double y[WIDTH];
        multiply(q, x, rowp(q, a, oa[i].index), y);
        for (int k = 0; k < inner.n; k++) {
            double value = worth(q, fixed + oa[i].key + ob[k].key);
            if (!hopeful(q, value)) break;
            q->chosen[a] = oa[i].index;
            q->chosen[b] = ob[k].index;
            if (!mirrored(q, b, ob[k].index, ob[k].index) && fits(q, y, rowp(q, b, ob[k].index))) leaf(q, value);
        }
    }
    free(option);
}

static void dfs(Search *q, int depth, const double *x);

/* The rows of a bundle, one after another. */
static void dfs_rows(Search *q, int depth, const Bundle *b, const double *x) {
    for (int i = b->first; i < b->first + b->n; i++) {
        double y[WIDTH];
        int row = q->row[depth][i];
        if (!hopeful(q, q->bound[depth][i])) return;
        if (mirrored(q, depth, row, row)) continue;
        q->s->nodes++;
        if (spent(q->s)) return;
        multiply(q, x, rowp(q, depth, row), y);
        int why = unfit(q, y, q->low[depth + 1], q->high[depth + 1]);
        if (why != FINE) {
            q->s->discarded[why]++;
            continue;
        }
        q->chosen[depth] = row;
        dfs(q, depth + 1, y);
    }
}

static void dfs_bundle(Search *q, int depth, int at, const double *x) {
    const Bundle *b = &q->bundle[depth][at];
    if (mirrored(q, depth, b->least, b->most) || !hopeful(q, q->bound[depth][b->first])) return;
    if (b->n > ALONE) {
        q->s->nodes++;
        if (spent(q->s)) return;
        int why = unfit(q, x, least_in(q, depth, at), most_in(q, depth, at));
        if (why != FINE) {
            q->s->discarded[why] += b->n;
            return;
        }
    }
    if (b->inner[0] < 0) dfs_rows(q, depth, b, x);
    for (int k = 0; k < 2 && b->inner[0] >= 0; k++) dfs_bundle(q, depth, b->inner[k], x);
}

static void dfs(Search *q, int depth, const double *x) {
    if (depth == q->G) leaf(q, cost(q, x, q->low[depth], q->low[depth]));
    else if (q->separable && depth == q->G - 2) pair(q, x);
    else dfs_bundle(q, depth, 0, x);
}

static void sort_rows(Search *q) {
    for (int d = 0; d < q->G; d++) {
        Ranked *t = malloc(sizeof(Ranked) * (q->n[d] + 1));
        for (int i = 0; i < q->n[d]; i++) t[i] = (Ranked){q->bound[d][i], q->row[d][i]};
        qsort(t, q->n[d], sizeof *t, by_key);
        for (int i = 0; i < q->n[d]; i++) q->bound[d][i] = t[i].key, q->row[d][i] = t[i].index;
        free(t);
    }
}

/* Depth first through the rows that are left. */
static void explore(Search *q) {
    double one[WIDTH];
    sort_rows(q);
    find_twins(q);
    for (int i = 0; i < q->W; i++) one[i] = q->low[q->G][i] = q->high[q->G][i] = 1;
    for (int d = q->G - 1; d >= 0; d--) {
        int options = q->separable && d >= q->G - 2;
        tie(q, d, options ? one : q->low[d + 1], options ? one : q->high[d + 1]);
        multiply(q, q->low[d + 1], q->gl[d], q->low[d]);
        multiply(q, q->high[d + 1], q->gh[d], q->high[d]);
    }
    dfs(q, 0, one);
}
