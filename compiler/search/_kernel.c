/* The exact search of docs/search.md for loops that divide: placements, tables of undominated rows, depth-first search.
 *
 * solve(problem: bytes of int64, budget: float, check: callable) -> tuple. The layout of the problem is written down in
 * kernel.py, which also has the same algorithm in Python. All sums of products that matter are below 2^53, so that
 * doubles hold them exactly.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAXD = 16, MAXG = 16, MAXM = 16, MAXJ = 48, MAXA = 8, MAXO = 4, MAXC = 16, MAXS = 24 };
enum { IRRELEVANT = 0, PLAIN = 1, WINDOW = 2 };
#define WIDTH (MAXJ + MAXM + MAXA)

typedef struct {
    int nd[2];             /* numbers of divisors of both dims */
    const int64_t *words;  /* [padding][a][b] */
    const int64_t *largest;
} Win;

typedef struct {
    double coefficient;
    int operand, mark, irr, win, padding;
} Term;

typedef struct {
    int nmarks, nterms, ncaps;
    int operand[MAXM], fixed[MAXM], padded[MAXM], first[MAXM];
    Term term[MAXJ];
    double constant;
    double limit[MAXC];
    int held[MAXC];  /* marks, as bits */
    double base[MAXG][MAXJ]; /* coefficient x what the other groups do at least; -infinity if it is negative */
} Setting;

typedef struct {
    int nslots;
    int segment[MAXS];
    int outside[MAXM];  /* slots outside each mark */
} Slots;

typedef struct {
    int dim;
    Slots slots;
    int n;
    int *trips;   /* n x (slots + axes) */
    int *factor;  /* n x (J + M): trips of events, or tile (an index of a divisor for windows) */
} Chains;

typedef struct {
    int setting, group;
    Slots slots[2];
    Chains *chains[2];
    int n, *chain[2];
    double *row;  /* n x width */
    double *low;  /* width: column minima */
    double *high;
} Table;

typedef struct {
    int setting;
    int order[MAXM];
    Table *table[MAXG];
    double bound;
    int number;
} Placement;

typedef struct {
    int D, G, A, O, W, NS;
    int bound[MAXD], group[MAXD];
    int gdims[MAXG], gdim[MAXG][2];
    int size[MAXA];
    int allowed[MAXA]; /* dims, as bits */
    int class[MAXO][MAXD];
    int wtable[MAXO][MAXG]; /* window table of an operand in a group, or -1 */
    Win win[MAXO * MAXG];
    int dkind[MAXD], gkind[MAXG]; /* the first dim, or group, that is just like it */
    int ndiv[MAXD], div[MAXD][256];
    short *divindex[MAXD];
    Setting *setting;
    Table **tables;
    int ntables, ctables;
    Chains **lists;
    int nlists, clists;
    Placement *placement;
    int nplace, cplace;
    int64_t *data;
    /* result */
    double best;
    int found, bestplace, bestrow[MAXG];
    Table *besttable[MAXG];
    int64_t nodes, rows, kept, cut, pairs;
    int failed;
} S;

static int width(const S *s, const Setting *t) { return t->nterms + t->nmarks + s->A; }

/* ---- slots: where the temporal loops of a dim may stand in an order of marks ---- */

static void slots_of(const S *s, const Setting *t, const int *order, int dim, Slots *out) {
    memset(out, 0, sizeof *out);
    int before = PLAIN + 8; /* nothing before the first mark: allowed */
    for (int i = 0; i <= t->nmarks; i++) {
        int after = i < t->nmarks ? s->class[t->operand[order[i]]][dim] : PLAIN;
        if (before != PLAIN && after != IRRELEVANT) out->segment[out->nslots++] = i;
        if (i < t->nmarks) {
            out->outside[order[i]] = out->nslots;
            before = after;
        }
    }
}

static int window_of(const S *s, const Setting *t, int column, int group) {
    int operand = column < t->nterms ? t->term[column].operand : t->operand[column - t->nterms];
    return s->wtable[operand][group];
}

static double window_value(const S *s, const Setting *t, int column, int w, int a, int b) {
    const Win *win = &s->win[w];
    int term = column < t->nterms, padding = term ? t->term[column].padding : t->padded[column - t->nterms];
    const int64_t *table = term ? win->words : win->largest;
    return (double)table[(padding * win->nd[0] + a) * win->nd[1] + b];
}

/* The least that one group's factor of a term can be, whatever its loops. */
static double least_factor(const S *s, const Setting *t, int j, int group) {
    int w = window_of(s, t, j, group);
    if (w < 0) return 1;
    double least = INFINITY;
    for (int a = 0; a < s->win[w].nd[0]; a++)
        for (int b = 0; b < s->win[w].nd[1]; b++) least = fmin(least, window_value(s, t, j, w, a, b));
    return least;
}

static void set_base(const S *s, Setting *t) {
    for (int j = 0; j < t->nterms; j++)
        for (int g = 0; g < s->G; g++) {
            double product = t->term[j].coefficient;
            for (int o = 0; o < s->G; o++)
                if (o != g) product *= least_factor(s, t, j, o);
            t->base[g][j] = product < 0 ? -INFINITY : product;
        }
}

/* ---- chains: trip counts of a dim, slot by slot, then axis by axis ---- */

typedef struct {
    S *s;
    const Setting *t;
    Chains *c;
    int trips[MAXS + MAXA];
    int capacity;
} Enumerate;

static int outside_trips(const Chains *c, const int *trips, int slots, int axes, int A) {
    int n = 1;
    for (int i = 0; i < slots; i++) n *= trips[i];
    for (int a = 0; a < A; a++)
        if (axes >> a & 1) n *= trips[c->slots.nslots + a];
    return n;
}

/* Whether a chain could be part of something as good as the best, all other groups at their least. */
static int worth(const S *s, const Setting *t, const Chains *c, const int *f) {
    int g = s->group[c->dim], side = s->gdims[g] > 1 && s->gdim[g][1] == c->dim;
    double sum = t->constant;
    for (int j = 0; j < t->nterms; j++) {
        int w = window_of(s, t, j, g);
        double value = f[j];
        if (w >= 0 && s->class[t->term[j].operand][c->dim] == WINDOW) {
            value = INFINITY;
            for (int o = 0; o < s->win[w].nd[1 - side]; o++)
                value = fmin(value, side ? window_value(s, t, j, w, o, f[j]) : window_value(s, t, j, w, f[j], o));
        } else if (w >= 0)
            value *= least_factor(s, t, j, g);
        sum += t->base[g][j] * value;
    }
    return sum <= s->best;
}

static void emit_chain(Enumerate *e) {
    S *s = e->s;
    const Setting *t = e->t;
    Chains *c = e->c;
    int d = c->dim, J = t->nterms, M = t->nmarks, K = c->slots.nslots, *f;
    if (c->n == e->capacity) {
        e->capacity = e->capacity ? 2 * e->capacity : 64;
        c->trips = realloc(c->trips, sizeof(int) * e->capacity * (K + s->A));
        c->factor = realloc(c->factor, sizeof(int) * e->capacity * (J + M));
    }
    memcpy(c->trips + c->n * (K + s->A), e->trips, sizeof(int) * (K + s->A));
    f = c->factor + c->n * (J + M);
    for (int j = 0; j < J; j++) {
        const Term *term = &t->term[j];
        int slots = term->mark < 0 ? K : c->slots.outside[term->mark], kind = s->class[term->operand][d];
        if (kind == IRRELEVANT) f[j] = outside_trips(c, e->trips, slots, term->irr, s->A);
        else if (kind == WINDOW)
            f[j] = s->divindex[d][s->bound[d] / outside_trips(c, e->trips, slots, term->win, s->A)];
        else f[j] = 1;
    }
    if (!worth(s, t, c, f)) return;
    for (int m = 0; m < M; m++) {
        int kind = s->class[t->operand[m]][d], tile = 1;
        if (kind != IRRELEVANT) tile = s->bound[d] / outside_trips(c, e->trips, c->slots.outside[m], t->fixed[m], s->A);
        f[J + m] = kind == WINDOW ? s->divindex[d][tile] : tile;
        if (kind != WINDOW)
            for (int k = 0; k < t->ncaps; k++)
                if (t->held[k] >> m & 1 && tile > t->limit[k]) return;
    }
    c->n++;
}

static void enumerate(Enumerate *e, int position, int left) {
    Chains *c = e->c;
    S *s = e->s;
    int axes = s->A, K = c->slots.nslots;
    if (position == axes + K - 1) { /* the last slot takes what is left */
        e->trips[K - 1] = left;
        emit_chain(e);
        return;
    }
    int axis = position < axes, at = axis ? K + position : position - axes;
    int most = !axis ? left : (s->allowed[position] >> c->dim & 1) ? s->size[position] : 1;
    for (int i = 0; i < s->ndiv[c->dim] && s->div[c->dim][i] <= most; i++) {
        int n = s->div[c->dim][i];
        if (left % n) continue;
        e->trips[at] = n;
        enumerate(e, position + 1, left / n);
    }
}

typedef struct {
    const double *row;
    double key;
    int index;
} Ranked;

static int by_key(const void *x, const void *y) {
    const Ranked *a = x, *b = y;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    return a->index - b->index;
}

/* Marks the rows that no other row dominates (<= everywhere; the first of equal ones stays); returns how many. */
static int undominated(const double *row, int n, int stride, const int *columns, int nc, int *keep) {
    Ranked *r = malloc(sizeof(Ranked) * (n + 1));
    double *front = malloc(sizeof(double) * (n + 1) * (nc + 1));
    int size = 0;
    for (int i = 0; i < n; i++) {
        r[i].row = row + (size_t)i * stride;
        r[i].index = i;
        r[i].key = 0;
        for (int k = 0; k < nc; k++) r[i].key += r[i].row[columns[k]];
    }
    qsort(r, n, sizeof *r, by_key);
    memset(keep, 0, sizeof(int) * n);
    for (int i = 0; i < n; i++) {
        double *mine = front + (size_t)size * nc;
        int dominated = 0;
        for (int k = 0; k < nc; k++) mine[k] = r[i].row[columns[k]];
        for (int f = size - 1; f >= 0 && !dominated; f--) {
            const double *other = front + (size_t)f * nc;
            int k = 0;
            while (k < nc && other[k] <= mine[k]) k++;
            dominated = k == nc;
        }
        if (!dominated) {
            keep[r[i].index] = 1;
            size++;
        }
    }
    free(front);
    free(r);
    return size;
}

/* ---- chains of one dim of a coupled group: drop those that another dominates whatever the other dim does ---- */

static void prune_chains(S *s, const Setting *t, Chains *c, int group, int side) {
    int J = t->nterms, M = t->nmarks, K = c->slots.nslots, C = J + M, n = 0;
    int stride = C * 16 + s->A; /* a window column becomes one column per tile of the other dim */
    double *row = malloc(sizeof(double) * (c->n + 1) * stride);
    int columns[WIDTH * 16], nc = 0, *keep = malloc(sizeof(int) * (c->n + 1));
    for (int i = 0; i < c->n; i++) {
        int *f = c->factor + i * C, at = 0;
        double *mine = row + (size_t)i * stride;
        for (int k = 0; k < C; k++) {
            int w = window_of(s, t, k, group);
            int operand = k < J ? t->term[k].operand : t->operand[k - J];
            if (w >= 0 && s->class[operand][c->dim] == WINDOW) {
                int other = s->win[w].nd[1 - side];
                for (int o = 0; o < other && o < 16; o++)
                    mine[at++] = side ? window_value(s, t, k, w, o, f[k]) : window_value(s, t, k, w, f[k], o);
            } else
                mine[at++] = (k < J && t->term[k].coefficient < 0 ? -1.0 : 1.0) * f[k];
        }
        for (int a = 0; a < s->A; a++) mine[at++] = c->trips[i * (K + s->A) + K + a];
        nc = at;
    }
    for (int k = 0; k < nc; k++) columns[k] = k;
    /* constant columns say nothing */
    int used = 0;
    for (int k = 0; k < nc; k++) {
        int varies = 0;
        for (int i = 1; i < c->n && !varies; i++) varies = row[(size_t)i * stride + k] != row[k];
        if (varies) columns[used++] = k;
    }
    undominated(row, c->n, stride, columns, used, keep);
    for (int i = 0; i < c->n; i++)
        if (keep[i]) {
            memmove(c->trips + n * (K + s->A), c->trips + i * (K + s->A), sizeof(int) * (K + s->A));
            memmove(c->factor + n * C, c->factor + i * C, sizeof(int) * C);
            n++;
        }
    s->cut += c->n - n;
    c->n = n;
    free(row);
    free(keep);
}

static Chains *chains_of(S *s, int setting, int dim, const Slots *slots, int side) {
    dim = s->dkind[dim];
    for (int i = 0; i < s->nlists; i++)
        if (s->lists[i]->dim == dim + setting * MAXD && !memcmp(&s->lists[i]->slots.outside, slots->outside, sizeof slots->outside) &&
            s->lists[i]->slots.nslots == slots->nslots)
            return s->lists[i];
    const Setting *t = &s->setting[setting];
    Chains *c = calloc(1, sizeof *c);
    c->dim = dim;
    c->slots = *slots;
    Enumerate e = {s, t, c, {0}, 0};
    enumerate(&e, 0, s->bound[dim]);
    s->rows += c->n;
    prune_chains(s, t, c, s->group[dim], side);
    c->dim = dim + setting * MAXD;
    if (s->nlists == s->clists) s->lists = realloc(s->lists, sizeof(Chains *) * (s->clists = 2 * s->clists + 64));
    return s->lists[s->nlists++] = c;
}

/* ---- tables: the undominated rows of a group ---- */

static int fill_row(const S *s, const Setting *t, int group, Chains *const *c, const int *i, double *row) {
    int J = t->nterms, M = t->nmarks, C = J + M, n = s->gdims[group];
    for (int k = 0; k < C; k++) {
        int w = window_of(s, t, k, group), operand = k < J ? t->term[k].operand : t->operand[k - J];
        double value = 1;
        int at[2] = {0, 0};
        for (int d = 0; d < n; d++) {
            int f = c[d]->factor[i[d] * C + k];
            if (w >= 0 && s->class[operand][s->gdim[group][d]] == WINDOW) at[d] = f;
            else value *= f;
        }
        if (w >= 0) value *= window_value(s, t, k, w, at[0], at[1]);
        row[k] = value;
    }
    for (int a = 0; a < s->A; a++) {
        row[C + a] = 1;
        for (int d = 0; d < n; d++) {
            int K = c[d]->slots.nslots;
            row[C + a] *= c[d]->trips[i[d] * (K + s->A) + K + a];
        }
        if (row[C + a] > s->size[a]) return 0;
    }
    for (int k = 0; k < t->ncaps; k++) {
        double sum = 0;
        for (int m = 0; m < M; m++)
            if (t->held[k] >> m & 1) sum += row[J + m];
        if (sum > t->limit[k]) return 0;
    }
    double bound = t->constant;
    for (int j = 0; j < J; j++) bound += t->base[group][j] * row[j];
    return bound <= s->best;
}

static void build(S *s, Table *table) {
    const Setting *t = &s->setting[table->setting];
    int g = table->group, n = s->gdims[g], W = width(s, t), J = t->nterms, capacity = 0, raw = 0;
    double *row = NULL;
    int *index = NULL, i[2];
    for (int d = 0; d < n; d++) table->chains[d] = chains_of(s, table->setting, s->gdim[g][d], &table->slots[d], d);
    int second = n > 1 ? table->chains[1]->n : 1;
    for (i[0] = 0; i[0] < table->chains[0]->n; i[0]++)
        for (i[1] = 0; i[1] < second; i[1]++) {
            if (raw == capacity) {
                capacity = capacity ? 2 * capacity : 256;
                row = realloc(row, sizeof(double) * capacity * W);
                index = realloc(index, sizeof(int) * capacity * 2);
            }
            if (!fill_row(s, t, g, table->chains, i, row + (size_t)raw * W)) continue;
            memcpy(index + raw * 2, i, sizeof i);
            raw++;
        }
    int columns[WIDTH], nc = 0, *keep = malloc(sizeof(int) * (raw + 1));
    for (int k = 0; k < W; k++) {
        int varies = 0;
        for (int r = 1; r < raw && !varies; r++) varies = row[(size_t)r * W + k] != row[k];
        if (varies) columns[nc++] = k;
    }
    for (int r = 0; r < raw; r++)
        for (int j = 0; j < J; j++)
            if (t->term[j].coefficient < 0) row[(size_t)r * W + j] *= -1;
    if (n > 1) undominated(row, raw, W, columns, nc, keep);
    else
        for (int r = 0; r < raw; r++) keep[r] = 1;
    for (int r = 0; r < raw; r++)
        for (int j = 0; j < J; j++)
            if (t->term[j].coefficient < 0) row[(size_t)r * W + j] *= -1;
    s->rows += raw;
    int kept = 0;
    for (int r = 0; r < raw; r++)
        if (keep[r]) {
            if (kept != r) memcpy(row + (size_t)kept * W, row + (size_t)r * W, sizeof(double) * W);
            memcpy(index + kept * 2, index + r * 2, 2 * sizeof(int));
            kept++;
        }
    free(keep);
    s->kept += kept;
    table->n = kept;
    table->row = row;
    table->chain[0] = malloc(sizeof(int) * (kept + 1));
    table->chain[1] = malloc(sizeof(int) * (kept + 1));
    for (int r = 0; r < kept; r++)
        for (int d = 0; d < 2; d++) table->chain[d][r] = index[r * 2 + d];
    free(index);
}

static Table *table_of(S *s, int setting, int group, const int *order) {
    const Setting *t = &s->setting[setting];
    Slots slots[2];
    memset(slots, 0, sizeof slots);
    group = s->gkind[group];
    for (int d = 0; d < s->gdims[group]; d++) slots_of(s, t, order, s->gdim[group][d], &slots[d]);
    for (int i = 0; i < s->ntables; i++) {
        Table *x = s->tables[i];
        if (x->setting != setting || x->group != group) continue;
        int same = 1;
        for (int d = 0; d < s->gdims[group] && same; d++)
            same = x->slots[d].nslots == slots[d].nslots &&
                   !memcmp(x->slots[d].outside, slots[d].outside, sizeof slots[d].outside);
        if (same) return x;
    }
    Table *x = calloc(1, sizeof *x);
    x->setting = setting;
    x->group = group;
    memcpy(x->slots, slots, sizeof slots);
    build(s, x);
    if (s->ntables == s->ctables) s->tables = realloc(s->tables, sizeof(Table *) * (s->ctables = 2 * s->ctables + 64));
    return s->tables[s->ntables++] = x;
}

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
    double low[MAXG + 1][WIDTH], high[MAXG + 1][WIDTH]; /* by depth: products of what the groups from there on do at least, at most */
    double gl[MAXG][WIDTH], gh[MAXG][WIDTH];
    int chosen[MAXG];
} Search;

static const double *rowp(const Search *q, int depth, int r) {
    return q->p->table[q->order[depth]]->row + (size_t)r * q->W;
}

static double cost(const Search *q, const double *x, const double *low, const double *high) {
    double sum = q->t->constant;
    for (int j = 0; j < q->J; j++) {
        double c = q->t->term[j].coefficient;
        sum += c * x[j] * (c > 0 ? low[j] : high[j]);
    }
    return sum;
}

static int fits(const Search *q, const double *x, const double *low) {
    const Setting *t = q->t;
    const double *tile = x + q->J, *least = low + q->J;
    for (int a = 0; a < q->s->A; a++)
        if (x[q->J + q->M + a] * low[q->J + q->M + a] > q->s->size[a]) return 0;
    for (int k = 0; k < t->ncaps; k++) {
        double sum = 0;
        for (int m = 0; m < q->M; m++)
            if (t->held[k] >> m & 1) sum += tile[m] * least[m];
        if (sum > t->limit[k]) return 0;
    }
    return 1;
}

static void extremes(Search *q, int depth) {
    for (int k = 0; k < q->W; k++) q->gl[depth][k] = INFINITY, q->gh[depth][k] = 0;
    for (int i = 0; i < q->n[depth]; i++) {
        const double *x = rowp(q, depth, q->row[depth][i]);
        for (int k = 0; k < q->W; k++) {
            if (x[k] < q->gl[depth][k]) q->gl[depth][k] = x[k];
            if (x[k] > q->gh[depth][k]) q->gh[depth][k] = x[k];
        }
    }
}

/* Whether a value is worth looking at: less than the best, or equal to it in an earlier placement. */
static int hopeful(const Search *q, double value) {
    return value < q->s->best || (value == q->s->best && (!q->s->found || q->p->number <= q->s->bestplace));
}

/* Drops rows whose bound is no good, until nothing changes; returns the placement's bound, infinite if none is left. */
static double filter(Search *q) {
    double least = INFINITY;
    for (int d = 0; d < q->G; d++) extremes(q, d);
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
                double bound = cost(q, x, low, high);
                if (!hopeful(q, bound) || !fits(q, x, low)) continue;
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

static void record(Search *q, double value, const int *rows) {
    S *s = q->s;
    int better = !s->found || value < s->best;
    if (!better && value == s->best) {
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
    s->found = 1;
    s->bestplace = q->p->number;
    memcpy(s->bestrow, rows, sizeof(int) * q->G);
    memcpy(s->besttable, q->p->table, sizeof s->besttable);
}

static void leaf(Search *q, double value) {
    int rows[MAXG];
    for (int d = 0; d < q->G; d++) rows[q->order[d]] = q->chosen[d];
    record(q, value, rows);
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
    int n = 0;
    for (int i = 0; i < q->n[depth]; i++) {
        const double *y = rowp(q, depth, q->row[depth][i]);
        double value = 0, z[WIDTH];
        for (int j = 0; j < q->J; j++) value += weight[j] * y[j];
        if (!hopeful(q, value + rest)) continue;
        multiply(q, x, y, z);
        if (!fits(q, z, q->gl[other])) continue;
        out[n].value = value;
        out[n++].row = q->row[depth][i];
    }
    return n;
}

/* The last two groups: no term depends on both, so the cost is a sum; walk the pairs from the cheapest up. */
static void pair(Search *q, const double *x) {
    int a = q->G - 2, b = q->G - 1;
    double wa[MAXJ], wb[MAXJ], fixed = q->t->constant, leastb = INFINITY;
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
        for (int i = 0; i < na && hopeful(q, fixed + oa[i].value + ob[0].value); i++) {
            double y[WIDTH];
            multiply(q, x, rowp(q, a, oa[i].row), y);
            for (int k = 0; k < nb; k++) {
                double value = fixed + oa[i].value + ob[k].value;
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
        multiply(q, x, rowp(q, depth, q->row[depth][i]), y);
        if (!fits(q, y, q->low[depth + 1]) || !hopeful(q, cost(q, y, q->low[depth + 1], q->high[depth + 1]))) continue;
        q->chosen[depth] = q->row[depth][i];
        dfs(q, depth + 1, y);
    }
}

static int separable(const Search *q, int a, int b) {
    for (int j = 0; j < q->J; j++)
        if (q->gl[a][j] != q->gh[a][j] && q->gl[b][j] != q->gh[b][j]) return 0;
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

static void swap_groups(Search *q, int i, int k) {
    int o = q->order[i];
    q->order[i] = q->order[k];
    q->order[k] = o;
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

static void search_placement(S *s, Placement *p, int deep) {
    Search q;
    begin(&q, s, p);
    for (int d = 0; d < q.G; d++) extremes(&q, d);
    for (int b = q.G - 1; b > 0 && !q.separable; b--)
        for (int a = b - 1; a >= 0 && !q.separable; a--)
            if (separable(&q, a, b)) {
                q.separable = 1;
                /* move a and b to the end */
                for (int k = b; k + 1 < q.G; k++) swap_groups(&q, k, k + 1);
                for (int k = a; k + 2 < q.G; k++) swap_groups(&q, k, k + 1);
            }
    finish(&q);
    int separable = q.separable, order[MAXG];
    memcpy(order, q.order, sizeof order);
    begin(&q, s, p);
    memcpy(q.order, order, sizeof order);
    q.separable = separable;
    finish(&q);
    for (int d = 0; d < q.G; d++) {
        q.row[d] = malloc(sizeof(int) * (p->table[q.order[d]]->n + 1));
        q.bound[d] = malloc(sizeof(double) * (p->table[q.order[d]]->n + 1));
    }
    load(&q);
    p->bound = filter(&q);
    if (deep && p->bound < INFINITY) {
        double one[WIDTH];
        sort_rows(&q);
        for (int k = 0; k < q.W; k++) one[k] = q.low[q.G][k] = q.high[q.G][k] = 1;
        for (int d = q.G - 1; d >= 0; d--)
            for (int k = 0; k < q.W; k++) {
                q.low[d][k] = q.low[d + 1][k] * q.gl[d][k];
                q.high[d][k] = q.high[d + 1][k] * q.gh[d][k];
            }
        dfs(&q, 0, one);
    }
    finish(&q);
}

/* ---- placements: interleavings of the marks ---- */

static int same_tables(const Placement *p, const Placement *q, int G) {
    if (p->setting != q->setting) return 0;
    for (int g = 0; g < G; g++)
        if (p->table[g] != q->table[g]) return 0;
    return 1;
}

static void add_placement(S *s, int setting, const int *order) {
    Placement p;
    memset(&p, 0, sizeof p);
    p.setting = setting;
    memcpy(p.order, order, sizeof p.order);
    for (int g = 0; g < s->G; g++) {
        p.table[g] = table_of(s, setting, g, order);
        if (!p.table[g]->n) return;
    }
    for (int i = 0; i < s->nplace; i++)
        if (same_tables(&s->placement[i], &p, s->G)) return;
    p.number = s->nplace;
    if (s->nplace == s->cplace) s->placement = realloc(s->placement, sizeof(Placement) * (s->cplace = 2 * s->cplace + 64));
    s->placement[s->nplace++] = p;
}

static void interleave(S *s, int setting, int *order, int placed, int used) {
    const Setting *t = &s->setting[setting];
    if (placed == t->nmarks) {
        add_placement(s, setting, order);
        return;
    }
    for (int m = 0; m < t->nmarks; m++) {
        if (used >> m & 1) continue;
        if (m && t->operand[m - 1] == t->operand[m] && !(used >> (m - 1) & 1)) continue; /* outer marks first */
        int later = 0;
        for (int o = 0; o < t->nmarks; o++)
            if (t->first[o] && !(used >> o & 1) && !t->first[m]) later = 1;
        if (later) continue;
        order[placed] = m;
        interleave(s, setting, order, placed + 1, used | 1 << m);
    }
}

/* Searches all placements from number `first` on, those of the least bound first. */
static void search_all(S *s, int first) {
    int n = s->nplace - first;
    Placement **by = malloc(sizeof *by * (n + 1));
    for (int i = 0; i < n; i++) {
        by[i] = &s->placement[first + i];
        search_placement(s, by[i], 0);
    }
    qsort(by, n, sizeof *by, by_placement);
    for (int i = 0; i < n; i++)
        if (by[i]->bound <= s->best) search_placement(s, by[i], 1);
    free(by);
}

/* A good start: level by level, the operands of each in the same order; every such order in some settings. */
static void probe_order(S *s, int setting, const int *operands) {
    const Setting *t = &s->setting[setting];
    int order[MAXM] = {0}, placed = 0, used = 0;
    for (int first = 1; first >= 0; first--)
        for (int depth = 0; depth < t->nmarks; depth++)
            for (int o = 0; o < s->O; o++) {
                int seen = 0;
                for (int m = 0; m < t->nmarks; m++) {
                    if (t->operand[m] != operands[o] || seen++ != depth) continue;
                    if (t->first[m] != first || used >> m & 1) continue;
                    order[placed++] = m;
                    used |= 1 << m;
                }
            }
    add_placement(s, setting, order);
}

static void permute(S *s, int setting, int *operands, int n) {
    if (n >= s->O) {
        probe_order(s, setting, operands);
        return;
    }
    for (int i = n; i < s->O && n < MAXO; i++) {
        int x = operands[n];
        operands[n] = operands[i], operands[i] = x;
        permute(s, setting, operands, n + 1);
        operands[i] = operands[n], operands[n] = x;
    }
}

static void probe(S *s) {
    for (int i = 0; i < s->NS && i < 2; i++) {
        int operands[MAXO] = {0, 1, 2, 3};
        permute(s, i, operands, 0);
    }
    search_all(s, 0);
}

/* ---- input ---- */

static int64_t take(const int64_t **at) { return *(*at)++; }

static int alike(const S *s, int d, int e) {
    if (s->bound[d] != s->bound[e]) return 0;
    for (int a = 0; a < s->A; a++)
        if ((s->allowed[a] >> d & 1) != (s->allowed[a] >> e & 1)) return 0;
    for (int o = 0; o < s->O; o++)
        if (s->class[o][d] != s->class[o][e]) return 0;
    return 1;
}

static int same_windows(const Win *x, const Win *y) {
    size_t size = sizeof(int64_t) * 2 * x->nd[0] * x->nd[1];
    return x->nd[0] == y->nd[0] && x->nd[1] == y->nd[1] && !memcmp(x->words, y->words, size) && !memcmp(x->largest, y->largest, size);
}

static int alike_groups(const S *s, int g, int h) {
    if (s->gdims[g] != s->gdims[h]) return 0;
    for (int d = 0; d < s->gdims[g]; d++)
        if (!alike(s, s->gdim[g][d], s->gdim[h][d])) return 0;
    for (int o = 0; o < s->O; o++) {
        int w = s->wtable[o][g], v = s->wtable[o][h];
        if ((w < 0) != (v < 0) || (w >= 0 && !same_windows(&s->win[w], &s->win[v]))) return 0;
    }
    return 1;
}

static void find_kinds(S *s) {
    for (int g = 0; g < s->G; g++) {
        int h = 0;
        while (!alike_groups(s, h, g)) h++;
        s->gkind[g] = h;
        for (int d = 0; d < s->gdims[g]; d++) s->dkind[s->gdim[g][d]] = s->gdim[h][d];
    }
}

static void read_setting(S *s, Setting *t, const int64_t **at) {
    t->nmarks = take(at);
    for (int m = 0; m < t->nmarks; m++) {
        t->operand[m] = take(at);
        t->fixed[m] = take(at);
        t->padded[m] = take(at);
        t->first[m] = take(at);
    }
    t->nterms = take(at);
    for (int j = 0; j < t->nterms; j++) {
        Term *x = &t->term[j];
        x->coefficient = (double)take(at);
        x->operand = take(at);
        x->mark = take(at);
        x->irr = take(at);
        x->win = take(at);
        x->padding = take(at);
    }
    t->constant = (double)take(at);
    t->ncaps = take(at);
    for (int k = 0; k < t->ncaps; k++) {
        t->limit[k] = (double)take(at);
        t->held[k] = take(at);
    }
}

static void read_dims(S *s, const int64_t **at) {
    for (int d = 0; d < s->D; d++) {
        s->bound[d] = take(at);
        s->group[d] = take(at);
        s->gdim[s->group[d]][s->gdims[s->group[d]]++] = d;
        s->divindex[d] = malloc(sizeof(short) * (s->bound[d] + 1));
        for (int i = 1; i <= s->bound[d]; i++)
            if (s->bound[d] % i == 0) {
                s->divindex[d][i] = s->ndiv[d];
                s->div[d][s->ndiv[d]++] = i;
            }
    }
}

static void read_problem(S *s, const int64_t *at) {
    s->D = take(&at), s->G = take(&at), s->A = take(&at), s->O = take(&at), s->W = take(&at), s->NS = take(&at);
    read_dims(s, &at);
    for (int a = 0; a < s->A; a++) s->size[a] = take(&at), s->allowed[a] = take(&at);
    for (int o = 0; o < s->O; o++) {
        for (int d = 0; d < s->D; d++) s->class[o][d] = take(&at);
        for (int g = 0; g < s->G; g++) s->wtable[o][g] = take(&at);
    }
    for (int w = 0; w < s->W; w++) {
        Win *x = &s->win[w];
        x->nd[0] = take(&at);
        x->nd[1] = take(&at);
        x->words = at;
        at += 2 * x->nd[0] * x->nd[1];
        x->largest = at;
        at += 2 * x->nd[0] * x->nd[1];
    }
    s->setting = calloc(s->NS + 1, sizeof(Setting));
    find_kinds(s);
    for (int i = 0; i < s->NS; i++) {
        read_setting(s, &s->setting[i], &at);
        set_base(s, &s->setting[i]);
    }
}

static void release(S *s) {
    for (int i = 0; i < s->ntables; i++) {
        free(s->tables[i]->row);
        free(s->tables[i]->chain[0]);
        free(s->tables[i]->chain[1]);
        free(s->tables[i]);
    }
    for (int i = 0; i < s->nlists; i++) {
        free(s->lists[i]->trips);
        free(s->lists[i]->factor);
        free(s->lists[i]);
    }
    for (int d = 0; d < s->D; d++) free(s->divindex[d]);
    free(s->tables);
    free(s->lists);
    free(s->placement);
    free(s->setting);
    free(s->data);
}

/* ---- output ---- */

static PyObject *chains_out(S *s) {
    PyObject *list = PyList_New(0);
    for (int g = 0; g < s->G; g++)
        for (int d = 0; d < s->gdims[g]; d++) {
            const Table *t = s->besttable[g];
            const Chains *c = t->chains[d];
            const int *trips = c->trips + t->chain[d][s->bestrow[g]] * (c->slots.nslots + s->A);
            for (int k = 0; k < c->slots.nslots + s->A; k++) {
                int slot = k < c->slots.nslots;
                if (trips[k] == 1) continue;
                PyObject *item = Py_BuildValue("(iiii)", s->gdim[g][d], slot, slot ? t->slots[d].segment[k] : k - c->slots.nslots, trips[k]);
                PyList_Append(list, item);
                Py_DECREF(item);
            }
        }
    return list;
}

static PyObject *result(S *s) {
    if (!s->found) return Py_BuildValue("(dOOOLLLLL)", INFINITY, Py_None, Py_None, Py_None, s->nodes, s->rows, s->kept, s->pairs, (long long)s->nplace);
    const Placement *p = &s->placement[s->bestplace];
    PyObject *order = PyList_New(0);
    for (int i = 0; i < s->setting[p->setting].nmarks; i++) {
        PyObject *m = PyLong_FromLong(p->order[i]);
        PyList_Append(order, m);
        Py_DECREF(m);
    }
    return Py_BuildValue("(diNNLLLLL)", s->best, p->setting, order, chains_out(s), s->nodes, s->rows, s->kept, s->pairs, (long long)s->nplace);
}

static PyObject *solve(PyObject *self, PyObject *args) {
    Py_buffer buffer;
    double start;
    if (!PyArg_ParseTuple(args, "y*d", &buffer, &start)) return NULL;
    S *s = calloc(1, sizeof *s);
    s->data = malloc(buffer.len + 8);
    memcpy(s->data, buffer.buf, buffer.len);
    PyBuffer_Release(&buffer);
    read_problem(s, s->data);
    s->best = start;
    probe(s);
    if (getenv("KDEBUG")) fprintf(stderr,"probe %.3f best %.0f n %d lists %d\n", (double)clock()/CLOCKS_PER_SEC, s->best, s->ntables, s->nlists);
    for (int i = 0; i < s->NS; i++) {
        int order[MAXM] = {0};
        interleave(s, i, order, 0, 0);
    }
    if (getenv("KDEBUG")) fprintf(stderr,"tables %.3f n %d lists %d\n", (double)clock()/CLOCKS_PER_SEC, s->ntables, s->nlists);
    search_all(s, 0);
    if (getenv("KDEBUG")) fprintf(stderr,"dfs %.3f\n", (double)clock()/CLOCKS_PER_SEC);
    PyObject *out = result(s);
    release(s);
    free(s);
    return out;
}

static PyMethodDef methods[] = {{"solve", solve, METH_VARARGS, "Minimise a problem."}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_kernel", NULL, -1, methods};
PyMODINIT_FUNC PyInit__kernel(void) { return PyModule_Create(&module); }
