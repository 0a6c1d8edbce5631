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

enum { MAXD = 16, MAXG = 16, MAXM = 16, MAXJ = 48, MAXA = 8, MAXO = 6, MAXC = 16, MAXS = 24 };
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
    int slide; /* 1 + the group whose window slides; 0: none */
} Term;

typedef struct {
    int nmarks, nterms, ncaps;
    int operand[MAXM], fixed[MAXM], padded[MAXM], first[MAXM];
    Term term[MAXJ];
    double constant;
    double limit[MAXC];
    int held[MAXC];  /* marks, as bits */
    double base[MAXG][MAXJ];  /* coefficient x what the other groups do at least; -infinity if it is negative */
    double least[MAXG][MAXJ]; /* what each group does at least */
    double floor;
    int family; /* the first setting that differs in nothing but what slides */
} Setting;

typedef struct {
    int nslots;
    int segment[MAXS];
    int outside[MAXM];  /* slots outside each mark */
} Slots;

typedef struct {
    int dim, setting, side;
    Slots slots;
    double excess; /* what it costs at least beyond the least of its group */
    double slack;  /* how much more it may cost: the best less the bounds of the placements that use it */
    double limit;  /* chains that cost more are left out */
    int measuring, built;
    int n;
    int *trips;   /* n x (slots + axes) */
    int *factor;  /* n x (J + M): trips of events, or tile (an index of a divisor for windows) */
} Chains;

typedef struct {
    int setting, group;
    Slots slots[2];
    Chains *chains[2];
    double excess, slack;
    int built;
    int n, *chain[2];
    double *row; /* n x width */
} Table;

typedef struct {
    int setting;
    int order[MAXM];
    Table *table[MAXG];
    double floor, bound;
    int number;
} Placement;

typedef struct {
    int D, G, A, O, W, NS;
    int relaxed; /* chains are bounds of all chains, steps of any size: see relax() */
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
    int64_t work, budget; /* chains and rows looked at, and how many may be; 0: any number */
    double deadline;  /* of the monotonic clock; 0: none */
    double lower;     /* no schedule is below it */
    int stopped;      /* 1: out of budget or time, 2: interrupted */
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

/* Relaxed factors of windows are two numbers of pieces: of all, and of those that a forward sweep does not join. */
enum { PACK = 12, LOW = (1 << PACK) - 1 };

static double window_at(const Win *win, const int64_t *table, int padding, int a, int b) {
    return (double)table[((int64_t)padding * win->nd[0] + a) * win->nd[1] + b];
}

static double window_value(const S *s, const Setting *t, int column, int w, int a, int b) {
    const Win *win = &s->win[w];
    int term = column < t->nterms, padding = term ? t->term[column].padding : t->padded[column - t->nterms];
    const int64_t *table = term ? win->words : win->largest;
    if (!s->relaxed) return window_at(win, table, padding, a, b);
    double whole = window_at(win, table, padding, a & LOW, b & LOW);
    if (!term || !t->term[column].slide || s->wtable[t->term[column].operand][t->term[column].slide - 1] != w) return whole;
    return fmin(window_at(win, table, padding, a >> PACK, b & LOW), window_at(win, table, padding, a & LOW, b >> PACK));
}

/* The least that one group's factor of a term can be, whatever its loops. */
static double least_factor(const S *s, const Setting *t, int j, int group) {
    int w = window_of(s, t, j, group);
    if (w < 0) return 1;
    double least = INFINITY;
    if (s->relaxed) return window_at(&s->win[w], s->win[w].words, t->term[j].padding, 1, 1);
    for (int a = 0; a < s->win[w].nd[0]; a++)
        for (int b = 0; b < s->win[w].nd[1]; b++) least = fmin(least, window_value(s, t, j, w, a, b));
    return least;
}

static void set_base(const S *s, Setting *t) {
    t->floor = t->constant;
    for (int j = 0; j < t->nterms; j++) {
        double all = t->term[j].coefficient;
        for (int g = 0; g < s->G; g++) all *= t->least[g][j] = least_factor(s, t, j, g);
        t->floor += all < 0 ? -INFINITY : all;
        for (int g = 0; g < s->G; g++) {
            double product = t->term[j].coefficient;
            for (int o = 0; o < s->G; o++)
                if (o != g) product *= t->least[o][j];
            t->base[g][j] = product < 0 ? -INFINITY : product;
        }
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

/* What a chain costs beyond the least of its group, all else being at its least. Of two coupled dims the first one
 * answers for the window, so that the sum over both is a bound. */
static double excess_of(const S *s, const Setting *t, const Chains *c, const int *f) {
    int g = s->group[c->dim];
    double sum = 0;
    for (int j = 0; j < t->nterms; j++) {
        int kind = s->class[t->term[j].operand][c->dim];
        double base = t->base[g][j];
        if (base == -INFINITY) return -INFINITY;
        if (kind == IRRELEVANT) sum += base * t->least[g][j] * (f[j] - 1);
        if (kind != WINDOW || c->side) continue;
        int w = window_of(s, t, j, g), one = 1 | 1 << PACK;
        double value = s->relaxed ? window_value(s, t, j, w, f[j], one) : INFINITY;
        for (int o = 0; o < s->win[w].nd[1] && !s->relaxed; o++) value = fmin(value, window_value(s, t, j, w, f[j], o));
        sum += base * (value - t->least[g][j]);
    }
    return sum;
}

/* Counts work; whether there was too much. */
static int overspent(S *s, int64_t work) {
    s->work += work;
    if (s->budget && s->work > s->budget) s->stopped = 1;
    return s->stopped;
}

static int spent(S *s) { return overspent(s, 1); }

/* Appends a chain if its factors, which are already in place, are worth it and its own tiles fit. */
static int append_chain(Enumerate *e) {
    S *s = e->s;
    const Setting *t = e->t;
    Chains *c = e->c;
    if (!c->measuring && spent(s)) return 0;
    int J = t->nterms, M = t->nmarks, K = c->slots.nslots, *f = c->factor + c->n * (J + M);
    double excess = excess_of(s, t, c, f);
    if (excess > c->limit || (c->measuring && excess == c->limit)) return 0;
    for (int m = 0; m < M; m++)
        if (s->class[t->operand[m]][c->dim] != WINDOW)
            for (int k = 0; k < t->ncaps; k++)
                if (t->held[k] >> m & 1 && f[J + m] > t->limit[k]) return 1;
    if (c->measuring) {
        c->limit = excess;
        return 1;
    }
    memcpy(c->trips + c->n * (K + s->A), e->trips, sizeof(int) * (K + s->A));
    c->n++;
    return 1;
}

static int *new_factors(Enumerate *e) {
    Chains *c = e->c;
    int C = e->t->nterms + e->t->nmarks;
    if (c->n == e->capacity) {
        e->capacity = e->capacity ? 2 * e->capacity : 64;
        c->trips = realloc(c->trips, sizeof(int) * e->capacity * (c->slots.nslots + e->s->A));
        c->factor = realloc(c->factor, sizeof(int) * e->capacity * C);
    }
    return c->factor + c->n * C;
}

static void emit_chain(Enumerate *e) {
    S *s = e->s;
    const Setting *t = e->t;
    Chains *c = e->c;
    int d = c->dim, J = t->nterms, M = t->nmarks, K = c->slots.nslots, *f = new_factors(e);
    for (int j = 0; j < J; j++) {
        const Term *term = &t->term[j];
        int slots = term->mark < 0 ? K : c->slots.outside[term->mark], kind = s->class[term->operand][d];
        if (kind == IRRELEVANT) f[j] = outside_trips(c, e->trips, slots, term->irr, s->A);
        else if (kind == WINDOW)
            f[j] = s->divindex[d][s->bound[d] / outside_trips(c, e->trips, slots, term->win, s->A)];
        else f[j] = 1;
    }
    for (int m = 0; m < M; m++) {
        int kind = s->class[t->operand[m]][d], tile = 1;
        if (kind != IRRELEVANT) tile = s->bound[d] / outside_trips(c, e->trips, c->slots.outside[m], t->fixed[m], s->A);
        f[J + m] = kind == WINDOW ? s->divindex[d][tile] : tile;
    }
    append_chain(e);
}

/* ---- relaxed chains: what every chain, whatever its steps, costs at least ----
 *
 * At each boundary between slots: events, the valid digits of the loops outside, and tile, those of the loops inside.
 * events x tile x instances >= bound; events grow and tiles shrink inwards.
 */

typedef struct {
    Enumerate e;
    int D, K, cut[MAXS + 1];           /* boundaries that a mark has */
    int by_tile[MAXS + 1], by_event[MAXS + 1];
    int most[MAXS + 1];                /* the largest tile that fits, of operands that the boundary's marks keep */
    int events[MAXS + 1], tile[MAXS + 1];
    int axes[MAXA], usable;            /* instances; axes that the dim may use */
    int nvalues, value[512];           /* ceil(D / q) for every q, ascending */
} Relax;

static int up(int64_t n, int64_t d) { return (int)((n + d - 1) / d); }

static int64_t instances(const Relax *r, int mask) {
    int64_t n = 1;
    for (int a = 0; a < r->e.s->A; a++)
        if (mask >> a & 1) n *= r->axes[a];
    return n;
}

static int most_instances(const Relax *r, int mask) {
    int most = 1;
    for (int a = 0; a < r->e.s->A; a++)
        if (mask >> a & 1 && r->axes[a] > most) most = r->axes[a];
    return most;
}

/* Pieces: of the loops outside a boundary and of the axes given. */
static int pieces(const Relax *r, int boundary, int mask) {
    int n = r->events[boundary], axes = most_instances(r, mask);
    if (axes > n) n = axes;
    if (r->tile[boundary]) {
        int rest = up(r->D, r->tile[boundary] * instances(r, ~mask));
        if (rest > n) n = rest;
    }
    return n;
}

static int tile_at_least(const Relax *r, int boundary, int fixed) {
    int n = up(r->D, r->events[boundary] * instances(r, fixed)), free = most_instances(r, ~fixed);
    if ((!r->by_event[boundary] && boundary) || boundary == r->K) n = 1; /* the events are only a bound */
    if (free > n) n = free;
    return r->tile[boundary] > n ? r->tile[boundary] : n;
}

static int emit_relaxed(Relax *r) {
    Enumerate *e = &r->e;
    S *s = e->s;
    const Setting *t = e->t;
    Chains *c = e->c;
    int d = c->dim, J = t->nterms, K = r->K, *f = new_factors(e);
    for (int j = 0; j < J; j++) {
        const Term *term = &t->term[j];
        int boundary = term->mark < 0 ? K : c->slots.outside[term->mark], kind = s->class[term->operand][d];
        if (kind == IRRELEVANT) f[j] = pieces(r, boundary, term->irr);
        else if (kind == WINDOW) f[j] = pieces(r, boundary, term->win) | most_instances(r, term->win) << PACK;
        else f[j] = 1;
    }
    for (int m = 0; m < t->nmarks; m++) {
        int kind = s->class[t->operand[m]][d], tile = 1;
        if (kind != IRRELEVANT) tile = tile_at_least(r, c->slots.outside[m], t->fixed[m]);
        f[J + m] = kind == WINDOW ? tile | tile << PACK : tile;
    }
    for (int a = 0; a < s->A; a++) e->trips[K + a] = r->axes[a];
    for (int k = 0; k < K; k++) e->trips[k] = r->events[k + 1];
    return append_chain(e);
}

/* Events from the outermost boundary in; returns 0 if even the fewest cost too much. */
static int relax_events(Relax *r, int boundary) {
    if (boundary > r->K) return emit_relaxed(r);
    int least = r->events[boundary - 1], worth_it = 0;
    if (r->tile[boundary]) {
        int n = up(r->D, r->tile[boundary] * instances(r, ~0));
        if (n > least) least = n;
    }
    r->events[boundary] = least;
    if (!r->cut[boundary] || !r->by_event[boundary] || boundary == r->K) return relax_events(r, boundary + 1);
    for (int i = 0; i < r->nvalues; i++) {
        if (r->value[i] < least && (i + 1 == r->nvalues || r->value[i + 1] <= least)) continue;
        r->events[boundary] = r->value[i] < least ? least : r->value[i];
        if (!relax_events(r, boundary + 1)) break;
        worth_it = 1;
    }
    return worth_it;
}

/* What more instances could make smaller, for the tiles chosen. */
static int instance_key(const Relax *r, int *key) {
    const Setting *t = r->e.t;
    const Slots *slots = &r->e.c->slots;
    int n = 0;
    for (int j = 0; j < t->nterms; j++) {
        const Term *term = &t->term[j];
        int kind = r->e.s->class[term->operand][r->e.c->dim], b = term->mark < 0 ? r->K : slots->outside[term->mark];
        if (kind == PLAIN || !r->tile[b]) continue;
        key[n++] = up(r->D, r->tile[b] * instances(r, ~(kind == WINDOW ? term->win : term->irr)));
    }
    for (int b = 1; b <= r->K; b++)
        if (r->tile[b]) key[n++] = up(r->D, r->tile[b] * instances(r, ~0));
    for (int m = 0; m < t->nmarks; m++) {
        int b = slots->outside[m];
        if (r->e.s->class[t->operand[m]][r->e.c->dim] == IRRELEVANT || (b && !r->by_event[b])) continue;
        key[n++] = up(r->D, instances(r, t->fixed[m]));
    }
    return n;
}

static void relax_axes(Relax *r, int axis) {
    S *s = r->e.s;
    while (axis < s->A && !(r->usable >> axis & 1)) axis++;
    if (axis == s->A) {
        relax_events(r, 1);
        return;
    }
    int last = !(r->usable >> (axis + 1)), before[2 * WIDTH], key[2 * WIDTH], known = 0;
    for (int n = 1; n <= s->size[axis] && n <= r->D; n++) {
        r->axes[axis] = n;
        if (last) { /* instances that make nothing smaller are wasted */
            int size = instance_key(r, key);
            if (known && !memcmp(before, key, sizeof(int) * size)) continue;
            memcpy(before, key, sizeof(int) * size);
            known = 1;
        }
        relax_axes(r, axis + 1);
    }
    r->axes[axis] = 1;
}

/* Tiles from the innermost boundary out. */
static void relax_tiles(Relax *r, int boundary, int inner) {
    if (boundary == 0) {
        relax_axes(r, 0);
        return;
    }
    if (!r->cut[boundary] || !r->by_tile[boundary] || boundary == r->K) {
        r->tile[boundary] = boundary == r->K;
        relax_tiles(r, boundary - 1, inner);
        return;
    }
    for (int i = 0; i < r->nvalues && r->value[i] <= r->most[boundary]; i++) {
        if (r->value[i] < inner) continue;
        r->tile[boundary] = r->value[i];
        relax_tiles(r, boundary - 1, r->value[i]);
    }
}

static void note_mark(Relax *r, int m, int usable) {
    const Setting *t = r->e.t;
    int b = r->e.c->slots.outside[m], kind = r->e.s->class[t->operand[m]][r->e.c->dim];
    int fixed = usable & t->fixed[m], open = usable & ~t->fixed[m];
    r->cut[b] = 1;
    if (fixed && kind != IRRELEVANT) r->by_tile[b] = 1; /* also where other axes are inside */
    if (kind != IRRELEVANT && (open || !fixed)) r->by_event[b] = 1;
    if (kind == PLAIN)
        for (int k = 0; k < t->ncaps; k++)
            if (t->held[k] >> m & 1 && t->limit[k] < r->most[b]) r->most[b] = (int)t->limit[k];
}

static void relax(Enumerate e) {
    Relax *r = calloc(1, sizeof *r);
    r->e = e;
    r->D = e.s->bound[e.c->dim];
    r->K = e.c->slots.nslots;
    for (int a = 0; a < e.s->A; a++) {
        r->axes[a] = 1;
        if (e.s->size[a] > 1 && e.s->allowed[a] >> e.c->dim & 1) r->usable |= 1 << a;
    }
    for (int b = 0; b <= r->K; b++) r->most[b] = r->D;
    for (int m = 0; m < e.t->nmarks; m++) note_mark(r, m, r->usable);
    r->cut[r->K] = 1;
    r->by_tile[r->K] = 1;
    r->events[0] = 1;
    for (int q = r->D; q >= 1; q--) {
        int v = up(r->D, q);
        if (!r->nvalues || r->value[r->nvalues - 1] != v) r->value[r->nvalues++] = v;
    }
    relax_tiles(r, r->K, 1);
    free(r);
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
static int undominated(S *s, const double *row, int n, int stride, const int *columns, int nc, int *keep) {
    Ranked *r = malloc(sizeof(Ranked) * (n + 1));
    double *front = malloc(sizeof(double) * (n + 1) * (nc + 1));
    int size = 0, *order = malloc(sizeof(int) * (n + 1));
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
        if (overspent(s, size / 32)) break;
        for (int f = 0; f < size && !dominated; f++) {
            const double *other = front + (size_t)order[f] * nc;
            int k = 0;
            while (k < nc && other[k] <= mine[k]) k++;
            dominated = k == nc;
            if (dominated && f) { /* what dominated once will again: try it sooner */
                int x = order[f];
                order[f] = order[f / 2];
                order[f / 2] = x;
            }
        }
        if (!dominated) {
            keep[r[i].index] = 1;
            order[size] = size;
            size++;
        }
    }
    free(order);
    free(front);
    free(r);
    return size;
}

/* ---- chains of one dim of a coupled group: drop those that another dominates whatever the other dim does ---- */

static int window_columns(const S *s, const Setting *t, int column, int w, int side) {
    if (s->relaxed) return column < t->nterms && t->term[column].slide ? 2 : 1; /* words grow with the pieces */
    return s->win[w].nd[1 - side];
}

static void window_column(const S *s, const Setting *t, int column, int w, int side, int f, double *out) {
    int n = window_columns(s, t, column, w, side);
    for (int o = 0; o < n; o++)
        out[o] = s->relaxed ? (o ? f >> PACK : f & LOW)
                 : side     ? window_value(s, t, column, w, o, f)
                            : window_value(s, t, column, w, f, o);
}

static int varying(const double *row, int n, int stride, int width, int *columns) {
    int used = 0;
    for (int k = 0; k < width; k++) {
        int varies = 0;
        for (int i = 1; i < n && !varies; i++) varies = row[(size_t)i * stride + k] != row[k];
        if (varies) columns[used++] = k;
    }
    return used;
}

static void prune_chains(S *s, const Setting *t, Chains *c, int group, int side) {
    int J = t->nterms, M = t->nmarks, K = c->slots.nslots, C = J + M, n = 0, stride = s->A;
    int windowed[WIDTH];
    for (int k = 0; k < C; k++) {
        int operand = k < J ? t->term[k].operand : t->operand[k - J];
        windowed[k] = s->class[operand][c->dim] == WINDOW ? window_of(s, t, k, group) : -1;
        stride += windowed[k] >= 0 ? window_columns(s, t, k, windowed[k], side) : 1;
    }
    double *row = malloc(sizeof(double) * (c->n + 1) * stride);
    int *columns = malloc(sizeof(int) * stride), *keep = malloc(sizeof(int) * (c->n + 1));
    for (int i = 0; i < c->n; i++) {
        const int *f = c->factor + i * C;
        double *at = row + (size_t)i * stride;
        for (int k = 0; k < C; k++) {
            if (windowed[k] >= 0) {
                window_column(s, t, k, windowed[k], side, f[k], at);
                at += window_columns(s, t, k, windowed[k], side);
            } else
                *at++ = (k < J && t->term[k].coefficient < 0 ? -1.0 : 1.0) * f[k];
        }
        for (int a = 0; a < s->A; a++) *at++ = c->trips[i * (K + s->A) + K + a];
    }
    undominated(s, row, c->n, stride, columns, varying(row, c->n, stride, stride, columns), keep);
    for (int i = 0; i < c->n; i++)
        if (keep[i]) {
            memmove(c->trips + n * (K + s->A), c->trips + i * (K + s->A), sizeof(int) * (K + s->A));
            memmove(c->factor + n * C, c->factor + i * C, sizeof(int) * C);
            n++;
        }
    s->cut += c->n - n;
    c->n = n;
    free(row);
    free(columns);
    free(keep);
}

static void list_chains(S *s, Chains *c) {
    Enumerate e = {s, &s->setting[c->setting], c, {0}, 0};
    if (s->relaxed) relax(e);
    else enumerate(&e, 0, s->bound[c->dim]);
}

static void measure(S *s, Chains *c) {
    c->measuring = 1;
    c->limit = INFINITY;
    c->n = 0;
    list_chains(s, c);
    c->excess = c->limit;
    c->measuring = 0;
}

static int same_slots(const Slots *x, const Slots *y) {
    return x->nslots == y->nslots && !memcmp(x->outside, y->outside, sizeof x->outside);
}

static int windowed(const S *s, int dim) {
    for (int o = 0; o < s->O; o++)
        if (s->class[o][dim] == WINDOW) return 1;
    return 0;
}

/* The chains of a dim with given slots; not listed yet, but measured. */
static Chains *chains_of(S *s, int setting, int dim, const Slots *slots, int side) {
    dim = s->dkind[dim];
    if (!windowed(s, dim)) setting = s->setting[setting].family;
    for (int i = 0; i < s->nlists; i++) {
        Chains *x = s->lists[i];
        if (x->dim == dim && x->setting == setting && same_slots(&x->slots, slots)) return x;
    }
    Chains *c = calloc(1, sizeof *c);
    c->dim = dim;
    c->setting = setting;
    c->side = side;
    c->slots = *slots;
    measure(s, c);
    if (s->nlists == s->clists) s->lists = realloc(s->lists, sizeof(Chains *) * (s->clists = 2 * s->clists + 64));
    return s->lists[s->nlists++] = c;
}

static void build_chains(S *s, Chains *c) {
    if (c->built) return;
    c->built = 1;
    c->n = 0;
    c->limit = c->excess + c->slack;
    free(c->trips);
    free(c->factor);
    c->trips = c->factor = NULL;
    list_chains(s, c);
    s->rows += c->n;
    prune_chains(s, &s->setting[c->setting], c, s->group[c->dim], c->side);
}

/* ---- tables: the undominated rows of a group ---- */

static int fill_row(const S *s, const Setting *t, int group, Chains *const *c, const int *i, double limit, double *row) {
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
    double excess = 0;
    for (int j = 0; j < J; j++) {
        if (t->base[group][j] == -INFINITY) return 1;
        excess += t->base[group][j] * (row[j] - t->least[group][j]);
    }
    return excess <= limit;
}

static void build(S *s, Table *table) {
    const Setting *t = &s->setting[table->setting];
    int g = table->group, n = s->gdims[g], W = width(s, t), J = t->nterms, capacity = 0, raw = 0;
    double *row = NULL;
    int *index = NULL, i[2];
    if (table->built) return;
    table->built = 1;
    for (int d = 0; d < n; d++) build_chains(s, table->chains[d]);
    free(table->row);
    free(table->chain[0]);
    free(table->chain[1]);
    int second = n > 1 ? table->chains[1]->n : 1;
    for (i[0] = 0; i[0] < table->chains[0]->n && !s->stopped; i[0]++)
        for (i[1] = 0; i[1] < second && !spent(s); i[1]++) {
            if (raw == capacity) {
                capacity = capacity ? 2 * capacity : 256;
                row = realloc(row, sizeof(double) * capacity * W);
                index = realloc(index, sizeof(int) * capacity * 2);
            }
            if (!fill_row(s, t, g, table->chains, i, table->excess + table->slack, row + (size_t)raw * W)) continue;
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
    if (n > 1) undominated(s, row, raw, W, columns, nc, keep);
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

/* The table of a group for an order of marks; not built yet. */
static Table *table_of(S *s, int setting, int group, const int *order) {
    const Setting *t = &s->setting[setting];
    Table y, *x;
    memset(&y, 0, sizeof y);
    group = s->gkind[group];
    int moves = 0;
    for (int d = 0; d < s->gdims[group]; d++) {
        slots_of(s, t, order, s->gdim[group][d], &y.slots[d]);
        moves |= windowed(s, s->gdim[group][d]);
    }
    y.setting = moves ? setting : t->family;
    y.group = group;
    for (int i = 0; i < s->ntables; i++) {
        x = s->tables[i];
        int same = x->setting == y.setting && x->group == group;
        for (int d = 0; d < s->gdims[group] && same; d++) same = same_slots(&x->slots[d], &y.slots[d]);
        if (same) return x;
    }
    for (int d = 0; d < s->gdims[group]; d++) {
        y.chains[d] = chains_of(s, y.setting, s->gdim[group][d], &y.slots[d], d);
        y.excess += y.chains[d]->excess;
    }
    x = malloc(sizeof *x);
    *x = y;
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

static double now(void) {
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Whether to stop: out of budget or time, or interrupted. */
static int stop(S *s) {
        if (!s->stopped && s->deadline > 0 && now() > s->deadline) s->stopped = 1;
    if (!s->stopped && PyErr_CheckSignals()) s->stopped = 2;
    return s->stopped;
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
        if (overspent(q->s, 1) || (!(q->s->nodes & 0xffff) && stop(q->s))) return;
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

static void set_floor(const S *s, Placement *p) {
    p->floor = s->setting[p->setting].floor;
    for (int g = 0; g < s->G; g++) p->floor += p->table[g]->excess;
}

static void add_placement(S *s, int setting, const int *order) {
    Placement p;
    memset(&p, 0, sizeof p);
    p.setting = setting;
    memcpy(p.order, order, sizeof p.order);
    for (int g = 0; g < s->G; g++) p.table[g] = table_of(s, setting, g, order);
    set_floor(s, &p);
    if (p.floor == INFINITY) return; /* some dim does not fit */
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

/* How much the chains and tables of every placement may cost, so that it is not above the best. */
static void set_slack(S *s) {
    for (int i = 0; i < s->nlists; i++) s->lists[i]->slack = -INFINITY, s->lists[i]->built = 0;
    for (int i = 0; i < s->ntables; i++) s->tables[i]->slack = -INFINITY, s->tables[i]->built = 0;
    for (int i = 0; i < s->nplace; i++) {
        double slack = s->best - s->placement[i].floor;
        for (int g = 0; g < s->G && slack >= 0; g++) {
            Table *t = s->placement[i].table[g];
            t->slack = fmax(t->slack, slack);
            for (int d = 0; d < s->gdims[g]; d++) t->chains[d]->slack = fmax(t->chains[d]->slack, slack);
        }
    }
}

/* Searches the placements that may be as good as the best, those of the least bound first. */
static void search_round(S *s) {
    int n = 0;
    Placement **by = malloc(sizeof *by * (s->nplace + 1));
    set_slack(s);
    for (int i = 0; i < s->nplace; i++) {
        Placement *p = &s->placement[i];
        if (stop(s)) break;
        int empty = p->floor > s->best;
        for (int g = 0; g < s->G && !empty; g++) {
            build(s, p->table[g]);
            if (s->stopped) break;
            empty = !p->table[g]->n;
        }
        if (s->stopped) break;
        if (empty) continue;
        search_placement(s, p, 0);
        by[n++] = p;
    }
    qsort(by, n, sizeof *by, by_placement);
    for (int i = 0; i < n; i++)
        if (by[i]->bound <= s->best && !stop(s)) search_placement(s, by[i], 1);
    free(by);
}

static double least_floor(const S *s) {
    double floor = INFINITY;
    for (int i = 0; i < s->nplace; i++) floor = fmin(floor, s->placement[i].floor);
    return floor;
}

/* Rounds with a growing limit, until something is found that is no worse than it: nothing better can have been missed. */
static void search_rounds(S *s, double most) {
    double floor = least_floor(s), limit = most, step;
    s->lower = floor == -INFINITY ? floor : fmin(ceil(floor), most);
    if (floor == INFINITY || s->stopped) return;
    step = ceil((floor - s->setting[0].constant) / 64) + 1;
    if (floor > -INFINITY) limit = floor + step;
    while (!s->found && !s->stopped) {
        s->best = fmin(limit, most);
        search_round(s);
        if (s->stopped) break;
        s->lower = s->found ? s->best : fmin(ceil(limit), most);
        if (limit >= most) break;
        limit = floor + (step *= 2);
    }
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
    t->family = take(at);
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
        x->slide = take(at);
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
    s->relaxed = take(&at);
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

static PyObject *statistics(const S *s) {
    return Py_BuildValue("{s:L,s:L,s:L,s:L,s:i,s:i}", "nodes", s->nodes + s->pairs, "rows", s->rows, "kept", s->kept, "dominated", s->cut,
                         "placements", s->nplace, "stopped", s->stopped);
}

/* (found, value, bound, setting, order of marks, loops, statistics) */
static PyObject *result(S *s) {
    PyObject *order = PyList_New(0);
    if (!s->found) return Py_BuildValue("(Oddi[][]N)", Py_False, s->best, s->lower, 0, statistics(s));
    const Placement *p = &s->placement[s->bestplace];
    for (int i = 0; i < s->setting[p->setting].nmarks; i++) {
        PyObject *m = PyLong_FromLong(p->order[i]);
        PyList_Append(order, m);
        Py_DECREF(m);
    }
    return Py_BuildValue("(OddiNNN)", Py_True, s->best, s->lower, p->setting, order, chains_out(s), statistics(s));
}

static PyObject *solve(PyObject *self, PyObject *args) {
    Py_buffer buffer;
    double start;
    double deadline;
    long long budget;
    if (!PyArg_ParseTuple(args, "y*dLd", &buffer, &start, &budget, &deadline)) return NULL;
    S *s = calloc(1, sizeof *s);
    s->data = malloc(buffer.len + 8);
    memcpy(s->data, buffer.buf, buffer.len);
    PyBuffer_Release(&buffer);
    read_problem(s, s->data);
    for (int i = 0; i < s->NS; i++) {
        int order[MAXM] = {0};
        interleave(s, i, order, 0, 0);
    }
    s->budget = budget;
    s->deadline = deadline;
    search_rounds(s, start);
    PyObject *out = s->stopped == 2 && !s->found ? NULL : result(s);
    if (out && s->stopped == 2) PyErr_Clear();
    release(s);
    free(s);
    return out;
}

static PyMethodDef methods[] = {{"solve", solve, METH_VARARGS, "Minimise a problem."}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_kernel", NULL, -1, methods};
PyMODINIT_FUNC PyInit__kernel(void) { return PyModule_Create(&module); }
