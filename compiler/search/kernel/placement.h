/* ---- one placement: filter rows by their bounds, then search depth first ---- */

typedef struct {
    S *s;
    const Setting *t;
    const Placement *p;
    int J, M, W, G, separable;
    int order[MAXG];          /* groups in the order of the search */
    int n[MAXG];              /* rows left, by depth */
    int *row[MAXG];
    double *bound[MAXG];
    double low[MAXG + 1][WIDTH], high[MAXG + 1][WIDTH]; /* by depth: the least and most of the groups from there on */
    double gl[MAXG][WIDTH], gh[MAXG][WIDTH];
    int chosen[MAXG];
    double cycles; /* where they are a factor of the cost and known; else 0 */
} Search;

static const double *rowp(const Search *q, int depth, int r) {
    return q->p->table[q->order[depth]]->row + (size_t)r * q->W;
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

static void extremes(Search *q, int depth) {
    double *restrict low = q->gl[depth], *restrict high = q->gh[depth];
    for (int k = 0; k < q->W; k++) low[k] = INFINITY, high[k] = 0;
    for (int i = 0; i < q->n[depth]; i++) {
        const double *x = rowp(q, depth, q->row[depth][i]);
        for (int k = 0; k < q->W; k++) low[k] = smaller(x[k], low[k]), high[k] = larger(x[k], high[k]);
    }
}

/* Whether nothing costs anything but iterations. */
static int cycles_alone(const S *s) {
    return !s->timed && s->nplace && s->setting[0].nterms == 1 && s->setting[0].compute == 0;
}

/* Whether a value is worth looking at: less than the best, or equal to it in an earlier placement; a product may be less
 * than one that it is rounded to. Of cycles alone very many schedules have as few: there the first one will do.
 */
static int hopeful(const Search *q, double value) {
    if (value != q->s->best) return value < q->s->best;
    if (q->J == 1 && !q->s->timed) return !q->s->found;
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
    if (q->s->each && too_slow(q)) return (void)q->s->discarded[COSTLY]++;
    if (q->s->judge) judge_rows(q, value, rows);
    else record(q, value, rows);
}

static void multiply(const Search *q, const double *x, const double *y, double *z) {
    for (int k = 0; k < q->W; k++) z[k] = x[k] * y[k];
}

typedef struct {
    double value;
    int row;
} Option;

static int by_value(const void *x, const void *y) {
    const Option *a = x, *b = y;
    if (a->value != b->value) return a->value < b->value ? -1 : 1;
    return a->row - b->row;
}

/* The options of the group at `depth`: its part of the cost, the other group of the pair being constant there. */
static int options(Search *q, int depth, int other, const double *x, const double *weight, double rest, Option *out) {
    int n = 0, used[MAXJ], nused = 0;
    for (int j = 0; j < q->J; j++)
        if (weight[j] != 0) used[nused++] = j;
    for (int i = 0; i < q->n[depth]; i++) {
        const double *y = rowp(q, depth, q->row[depth][i]);
        double value = 0, z[WIDTH];
        for (int j = 0; j < nused; j++) value += weight[used[j]] * y[used[j]];
        if (!hopeful(q, worth(q, value + rest))) continue;
        for (int k = q->s->slowest ? 0 : q->J; k < q->W; k++) z[k] = x[k] * y[k];
        if (!fits(q, z, q->gl[other])) continue;
        out[n].value = value;
        out[n++].row = q->row[depth][i];
    }
    return n;
}

/* The last two groups: no term depends on both, so the cost is a sum; walk the pairs from the cheapest up. */
static void pair(Search *q, const double *x) {
    int a = q->G - 2, b = q->G - 1;
    double wa[MAXJ], wb[MAXJ], fixed = q->t->constant + q->t->price * q->cycles, leastb = INFINITY;
    q->s->pairs++;
    for (int j = 0; j < q->J; j++) {
        double c = q->t->term[j].coefficient * x[j];
        wa[j] = wb[j] = 0;
        if (q->gl[b][j] == q->gh[b][j]) wa[j] = c * q->gl[b][j];
        else wb[j] = c * q->gl[a][j];
    }
    Option *oa = malloc(sizeof(Option) * (q->n[a] + q->n[b] + 2)), *ob = oa + q->n[a] + 1;
    double lowa = 0;
    for (int j = 0; j < q->J; j++) lowa += wa[j] * (wa[j] > 0 ? q->gl[a][j] : q->gh[a][j]);
    int nb = options(q, b, a, x, wb, fixed + lowa, ob), na = 0;
    for (int i = 0; i < nb; i++)
        if (ob[i].value < leastb) leastb = ob[i].value;
    if (nb) na = options(q, a, b, x, wa, fixed + leastb, oa);
    if (na) {
        qsort(oa, na, sizeof *oa, by_value);
        qsort(ob, nb, sizeof *ob, by_value);
        for (int i = 0; i < na && hopeful(q, worth(q, fixed + oa[i].value + ob[0].value)) && !ticked(q->s, nb); i++) {
            double y[WIDTH];
            multiply(q, x, rowp(q, a, oa[i].row), y);
            for (int k = 0; k < nb; k++) {
                double value = worth(q, fixed + oa[i].value + ob[k].value);
                if (!hopeful(q, value)) break;
                if (!fits(q, y, rowp(q, b, ob[k].row))) continue;
                q->chosen[a] = oa[i].row;
                q->chosen[b] = ob[k].row;
                leaf(q, value);
            }
        }
    }
    free(oa);
}

static void dfs(Search *q, int depth, const double *x) {
    if (depth == q->G) {
        leaf(q, cost(q, x, q->low[depth], q->low[depth]));
        return;
    }
    if (q->separable && depth == q->G - 2) {
        pair(q, x);
        return;
    }
    for (int i = 0; i < q->n[depth]; i++) {
        double y[WIDTH];
        if (!hopeful(q, q->bound[depth][i])) continue;
        q->s->nodes++;
        if (spent(q->s)) return;
        multiply(q, x, rowp(q, depth, q->row[depth][i]), y);
        int why = !fits(q, y, q->low[depth + 1]) ? LARGE
                  : hopeful(q, cost_up_to(q, y, q->low[depth + 1], q->high[depth + 1], q->s->best)) ? FINE : COSTLY;
        if (why != FINE) {
            q->s->discarded[why]++;
            continue;
        }
        q->chosen[depth] = q->row[depth][i];
        dfs(q, depth + 1, y);
    }
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
    }
}

typedef struct {
    double bound;
    int row;
} Sorted;

static int by_bound(const void *x, const void *y) {
    const Sorted *a = x, *b = y;
    if (a->bound != b->bound) return a->bound < b->bound ? -1 : 1;
    return a->row - b->row;
}

static void sort_rows(Search *q) {
    for (int d = 0; d < q->G; d++) {
        Sorted *t = malloc(sizeof(Sorted) * (q->n[d] + 1));
        for (int i = 0; i < q->n[d]; i++) t[i] = (Sorted){q->bound[d][i], q->row[d][i]};
        qsort(t, q->n[d], sizeof *t, by_bound);
        for (int i = 0; i < q->n[d]; i++) q->bound[d][i] = t[i].bound, q->row[d][i] = t[i].row;
        free(t);
    }
}

static int by_placement(const void *x, const void *y) {
    const Placement *a = *(Placement *const *)x, *b = *(Placement *const *)y;
    if (a->bound != b->bound) return a->bound < b->bound ? -1 : 1;
    return a->number - b->number;
}

/* Depth first through the rows that are left. */
static void explore(Search *q) {
    double one[WIDTH];
    sort_rows(q);
    for (int i = 0; i < q->W; i++) one[i] = q->low[q->G][i] = q->high[q->G][i] = 1;
    for (int d = q->G - 1; d >= 0; d--)
        for (int i = 0; i < q->W; i++) {
            q->low[d][i] = q->low[d + 1][i] * q->gl[d][i];
            q->high[d][i] = q->high[d + 1][i] * q->gh[d][i];
        }
    dfs(q, 0, one);
}

/* ---- where iterations cost something: rows of as many iterations together, so that compute is known ---- */

typedef struct {
    int first, n;
    double low[WIDTH], high[WIDTH];
} Alike;

typedef struct {
    Search *q;
    int *row[MAXG], n[MAXG];
    Alike *alike[MAXG];
    const Alike *chosen[MAXG];
    double low[MAXG + 1][WIDTH], high[MAXG + 1][WIDTH]; /* of the groups from there on */
} Split;

/* Sorts the rows of a depth by their iterations. */
static void sort_alike(Split *w, int d) {
    Search *q = w->q;
    int k = q->t->compute, n = 0, *of = malloc(sizeof(int) * q->n[d]);
    w->row[d] = malloc(sizeof(int) * q->n[d]);
    w->alike[d] = malloc(sizeof(Alike) * q->n[d]);
    for (int i = 0; i < q->n[d]; i++) {
        const double *y = rowp(q, d, q->row[d][i]);
        int c = 0;
        while (c < n && w->alike[d][c].low[k] != y[k]) c++;
        Alike *x = &w->alike[d][of[i] = c];
        if (c == n) {
            x->n = 0, n++;
            memcpy(x->low, y, sizeof(double) * q->W);
            memcpy(x->high, y, sizeof(double) * q->W);
        }
        for (int i = 0; i < q->W; i++) x->low[i] = smaller(x->low[i], y[i]), x->high[i] = larger(x->high[i], y[i]);
        x->n++;
    }
    for (int c = 0, first = 0; c < n; first += w->alike[d][c++].n) w->alike[d][c].first = first;
    for (int c = 0; c < n; c++) w->alike[d][c].n = 0;
    for (int i = 0; i < q->n[d]; i++) {
        Alike *x = &w->alike[d][of[i]];
        w->row[d][x->first + x->n++] = q->row[d][i];
    }
    w->n[d] = n;
    free(of);
}

/* Searches the rows chosen. */
static void explore_alike(Split *w) {
    Search *q = w->q;
    for (int d = 0; d < q->G; d++) {
        const Alike *x = w->chosen[d];
        q->n[d] = x->n;
        memcpy(q->row[d], w->row[d] + x->first, sizeof(int) * x->n);
        memcpy(q->gl[d], x->low, sizeof x->low);
        memcpy(q->gh[d], x->high, sizeof x->high);
    }
    q->s->nodes++;
    if (q->s->timed && steady(q->s)) {
        q->cycles = 1;
        for (int d = 0; d < q->G; d++) q->cycles *= w->chosen[d]->low[q->t->compute];
        q->cycles = larger(q->s->fewest, q->cycles);
    }
    if (filter(q) < INFINITY) explore(q);
    q->cycles = 0;
}

/* One number of iterations after another, group by group. */
static void choose_alike(Split *w, int depth, const double *low, const double *high) {
    Search *q = w->q;
    if (depth == q->G) {
        explore_alike(w);
        return;
    }
    for (int i = 0; i < w->n[depth] && !spent(q->s); i++) {
        const Alike *x = w->chosen[depth] = &w->alike[depth][i];
        double least[WIDTH], most[WIDTH], all[WIDTH], any[WIDTH];
        multiply(q, low, x->low, least);
        multiply(q, high, x->high, most);
        multiply(q, least, w->low[depth + 1], all);
        multiply(q, most, w->high[depth + 1], any);
        if (fits(q, all, q->low[q->G]) && hopeful(q, cost_up_to(q, q->low[q->G], all, any, q->s->best))) choose_alike(w, depth + 1, least, most);
    }
}

static void split(Search *q) {
    Split w = {q};
    for (int k = 0; k < q->W; k++) w.low[q->G][k] = w.high[q->G][k] = q->low[q->G][k] = 1;
    for (int d = q->G - 1; d >= 0; d--) {
        sort_alike(&w, d);
        multiply(q, w.low[d + 1], q->gl[d], w.low[d]);
        multiply(q, w.high[d + 1], q->gh[d], w.high[d]);
    }
    choose_alike(&w, 0, q->low[q->G], q->low[q->G]);
    for (int d = 0; d < q->G; d++) free(w.row[d]), free(w.alike[d]);
}

static void search_rows(Search *q) { splits(q) ? split(q) : explore(q); }
