/* ---- slots: where the temporal loops of a dim may stand in an order of marks ---- */

/* `any`: also between two marks that the dim is relevant to; EVERYWHERE: in all segments. `closed`: segments where the dim may not stand. `runs`: segments
 * that it may not leave, see windows.h.
 */
enum { EVERYWHERE = 2 };

static void slots_of(const S *s, const Setting *t, const int *order, int dim, int any, int closed, int runs, Slots *out) {
    memset(out, 0, sizeof *out);
    int before = PLAIN + 8; /* nothing before the first mark: allowed */
    for (int i = 0; i < t->nmarks; i++)
        if (t->shut[order[i]] >> dim & 1) closed |= (2 << i) - 1; /* it has to be inside of the mark */
    for (int i = 0; i <= t->nmarks; i++) {
        int needed = i == t->nmarks;
        for (int k = i; k < t->nmarks && (k == i || closed >> k & 1); k++)
            needed |= s->class[t->operand[order[k]]][dim] != IRRELEVANT;
        int after = i < t->nmarks ? s->class[t->operand[order[i]]][dim] : PLAIN;
        if ((any || before != PLAIN) && (any == EVERYWHERE || needed) && !(closed >> i & 1)) {
            out->inner[out->nslots] = before == PLAIN && !(runs >> i & 1) && !(i && closed >> (i - 1) & 1);
            out->segment[out->nslots++] = i;
        }
        if (i < t->nmarks) {
            int unseen = is_fanout(s, t, order[i]) && after == IRRELEVANT;
            out->outside[order[i]] = unseen ? 0 : out->nslots;
            if (!unseen) before = after;
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

/* The words of the first tile at least: that of some instance may stand at the border, and have nothing but padding. */
static double first_words(const S *s, const Win *win, const Term *term, int a, int b) {
    int padding = term->padding;
    double lacks = padding ? 0 : win->outside;
    if (!s->relaxed && !term->own) return window_at(win, win->first, padding, a, b);
    if (!s->relaxed) return larger(0, window_at(win, win->largest, 1, a, b) - lacks);
    double words = window_at(win, win->largest, padding, a & LOW, b & LOW);
    return lacks && words == 1 ? 0 : words;
}

static double window_value(const S *s, const Setting *t, int column, int w, int a, int b) {
    const Win *win = &s->win[w];
    int term = column < t->nterms, padding = term ? t->term[column].padding : t->padded[column - t->nterms];
    const int64_t *table = term ? win->words : win->largest;
    if (term && t->term[column].kind == FIRST) return first_words(s, win, &t->term[column], a, b);
    if ((a | b) & OTHER) return shaped_words(s, win, a, b, padding, !term);
    if (!s->relaxed) return window_at(win, table, padding, a, b);
    double whole = window_at(win, table, padding, a & LOW, b & LOW);
    int slide = term ? t->term[column].slide : 0;
    if (!slide || s->wtable[t->term[column].operand][slide - 1] != w) return whole;
    return smaller(window_at(win, table, padding, a >> PACK, b & LOW), window_at(win, table, padding, a & LOW, b >> PACK));
}

/* The axes over which a dim may be spread, of those that give one instance a part of a term only. */
static int spread(const S *s, const Term *x, int dim) {
    int axes = 0;
    for (int a = 0; a < s->A; a++)
        if (s->size[a] > 1 && s->allowed[a] >> dim & x->own >> a & 1) axes |= 1 << a;
    return axes;
}

static double most_spread(const S *s, const Term *x, int dim) {
    double n = 1;
    int axes = spread(s, x, dim);
    for (int a = 0; a < s->A; a++)
        if (axes >> a & 1) n *= s->size[a];
    return smaller(n, s->bound[dim]);
}

/* The least that one group's factor of a term can be, whatever its loops. */
static double least_factor(const S *s, const Setting *t, int j, int group) {
    const Term *x = &t->term[j];
    int w = window_of(s, t, j, group);
    if (x->kind == EVENTS || x->kind == FIRST) return x->kind == EVENTS || w < 0;
    if (x->kind == BUSIEST) {
        double part = 1;
        for (int d = 0; d < s->gdims[group]; d++) {
            int dim = s->gdim[group][d], kind = s->class[x->operand][dim];
            if (kind == WINDOW) part /= most_spread(s, x, dim);
            if (kind == PLAIN && spread(s, x, dim)) part *= ceil(s->bound[dim] / most_spread(s, x, dim));
        }
        if (w >= 0) part *= s->whole ? s->win[w].touched[x->padding] : s->relaxed ? window_at(&s->win[w], s->win[w].words, x->padding, 1, 1) : 1;
        return part;
    }
    if (w < 0 || s->whole) return 1;
    double least = INFINITY;
    if (s->relaxed) return window_at(&s->win[w], s->win[w].words, t->term[j].padding, 1, 1);
    for (int a = 0; a < s->win[w].nd[0]; a++)
        for (int b = 0; b < s->win[w].nd[1]; b++) least = smaller(least, window_value(s, t, j, w, a, b));
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
            t->rest[g][j] = 1;
            for (int o = 0; o < s->G; o++)
                if (o != g) t->rest[g][j] *= t->least[o][j];
        }
    }
    if (s->timed) {
        double z[MAXJ];
        for (int j = 0; j < t->nterms; j++) z[j] = t->rest[0][j] * t->least[0][j];
        t->floor = timed_cost(s, t, NULL, z);
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
/* The least of a window's factor for what one of its dims makes of it, whatever the other one does. */
static double window_at_least(const S *s, const Setting *t, int j, int w, int f) {
    if (s->relaxed) return window_value(s, t, j, w, f, 1 | 1 << PACK);
    double value = INFINITY;
    f = contiguous_tile(s, s->win[w].dim[0], f);
    for (int o = 0; o < s->win[w].nd[1]; o++) value = smaller(value, window_value(s, t, j, w, f, o));
    return value;
}

static double timed_excess(const S *s, const Setting *t, const Chains *c, const int *f) {
    int g = s->group[c->dim];
    double z[MAXJ];
    for (int j = 0; j < t->nterms; j++) {
        const Term *x = &t->term[j];
        int kind = s->class[x->operand][c->dim];
        z[j] = t->rest[g][j] * t->least[g][j];
        if (kind == IRRELEVANT) z[j] *= f[j];
        else if (kind == PLAIN && s->gdims[g] == 1 && x->kind != ALL) z[j] = t->rest[g][j] * f[j];
        else if (kind == WINDOW && !c->side && x->kind == ALL)
            z[j] = t->rest[g][j] * window_at_least(s, t, j, window_of(s, t, j, g), f[j]);
    }
    return timed_cost(s, t, NULL, z) - t->floor;
}

static double excess_of(const S *s, const Setting *t, const Chains *c, const int *f) {
    if (s->timed) return timed_excess(s, t, c, f);
    int g = s->group[c->dim];
    double sum = 0;
    for (int j = 0; j < t->nterms; j++) {
        int kind = s->class[t->term[j].operand][c->dim];
        double base = t->base[g][j];
        if (base == -INFINITY) return -INFINITY;
        if (kind == IRRELEVANT) sum += base * t->least[g][j] * (f[j] - 1);
        if (kind != WINDOW || c->side) continue;
        sum += base * (window_at_least(s, t, j, window_of(s, t, j, g), f[j]) - t->least[g][j]);
    }
    return sum;
}

static int overdue(const S *s) { return s->deadline > 0 && now() > s->deadline; }

/* Whether to stop: out of budget or time, or interrupted. */
static int stop(S *s) {
    if (!s->stopped && overdue(s)) s->stopped = 1;
    if (s->stopped != 2 && interrupted()) s->stopped = 2;
    return s->stopped;
}

/* The same; looks at the clock now and then only. */
static int ticked(S *s, int64_t work) {
    s->ticks += 1 + work;
    if (s->ticks < 1 << 10) return s->stopped;
    s->ticks = 0;
    return stop(s);
}

/* Counts work; whether there was too much. */
static int overspent(S *s, int64_t work) {
    s->work += work;
    if (s->budget && s->work > s->budget && !s->stopped) s->stopped = 1;
    return ticked(s, work);
}

static int spent(S *s) { return overspent(s, 1); }

/* Appends a chain if its factors, which are already in place, are worth it and its own tiles fit. */
static int append_chain(Enumerate *e) {
    S *s = e->s;
    const Setting *t = e->t;
    Chains *c = e->c;
    if (c->measuring ? ticked(s, 0) : spent(s)) return 0;
    int J = t->nterms, M = t->nmarks, K = c->slots.nslots, *f = c->factor + c->n * factors(s, t);
    double excess = excess_of(s, t, c, f);
    if (excess > c->limit || (c->measuring && excess == c->limit)) {
        s->discarded[COSTLY] += !c->measuring;
        return 0;
    }
    for (int m = 0; m < M; m++)
        if (s->class[t->operand[m]][c->dim] != WINDOW)
            for (int k = 0; k < t->ncaps; k++)
                if (t->held[k] >> m & 1 && t->weight[m] * f[J + m] > t->limit[k]) {
                    s->discarded[LARGE] += !c->measuring;
                    return 1;
                }
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
    int C = factors(e->s, e->t);
    if (c->n == e->capacity) {
        e->capacity = e->capacity ? 2 * e->capacity : 64;
        c->trips = realloc(c->trips, sizeof(int) * e->capacity * (c->slots.nslots + e->s->A));
        c->factor = realloc(c->factor, sizeof(int) * e->capacity * C);
    }
    return c->factor + c->n * C;
}

/* The trips of the loops inside one mark and outside another. */
static int trips_between(const Chains *c, const int *trips, int from, int to) {
    int n = 1;
    for (int i = c->slots.outside[from]; i < c->slots.outside[to]; i++) n *= trips[i];
    return n;
}

/* The shape of a dim where so many slots are outside; and its axes are fixed, or their instances share identical tiles, or else free. */
static int shape_of(const Enumerate *e, int slots, int fixed, int shared) {
    const S *s = e->s;
    int d = e->c->dim, K = e->c->slots.nslots, fanout = e->c->slots.outside[e->t->nmarks - 1], extent = s->bound[d];
    Shape x;
    x.n = 0;
    for (int k = 0; k <= K; k++) {
        for (int a = 0; a < s->A && k == fanout; a++)
            add_part(&x, &extent, e->trips[K + a], fixed >> a & 1 ? OF_EVENTS : shared >> a & 1 ? SHARED : INSIDE);
        if (k < K) add_part(&x, &extent, e->trips[k], k < slots ? OF_EVENTS : INSIDE);
    }
    return packed(s, d, &x);
}

/* The factor of a term for a chain whose steps divide. */
static inline int chain_factor(const Enumerate *e, const Term *term, int kind) {
    const S *s = e->s;
    const Chains *c = e->c;
    int d = c->dim, K = c->slots.nslots, slots = term->mark < 0 ? K : c->slots.outside[term->mark], own;
    if (kind == IRRELEVANT && term->kind == BETWEEN) return trips_between(c, e->trips, term->own, term->mark);
    if (kind == IRRELEVANT) return outside_trips(c, e->trips, term->kind == FIRST ? 0 : slots, term->irr, s->A);
    if (term->kind == EVENTS) return 1;
    if (kind == WINDOW && s->fanout) return shape_of(e, slots, term->win, term->own);
    own = spread(s, term, d);
    if (kind == WINDOW) {
        int first = term->kind == FIRST;
        return s->divindex[d][s->bound[d] / outside_trips(c, e->trips, slots, first ? own : term->win, s->A)];
    }
    if (term->kind == FIRST) return s->bound[d] / outside_trips(c, e->trips, slots, own, s->A);
    return term->kind == BUSIEST && own ? s->bound[d] / outside_trips(c, e->trips, 0, own, s->A) : 1;
}

static inline void term_factors(const Enumerate *e, int *f) {
    const S *s = e->s;
    const Setting *t = e->t;
    int d = e->c->dim, C = t->nterms + t->nmarks;
    for (int j = 0; j < t->nterms; j++) {
        const Term *term = &t->term[j];
        f[j] = chain_factor(e, term, s->class[term->operand][d]);
        if (!s->timed) continue;
        f[C + j] = term->kind == BUSIEST ? outside_trips(e->c, e->trips, 0, spread(s, term, d), s->A) : 1;
    }
}

/* Whether the trips chosen up to a slot cost too much already: with the rest of them innermost nothing moves more often than need be,
 * but first tiles are larger.
 */
static int dear_already(Enumerate *e, int slot, int left) {
    Chains *c = e->c;
    int K = c->slots.nslots, *f = new_factors(e);
    for (int k = slot + 1; k < K; k++) e->trips[k] = k == K - 1 ? left : 1;
    term_factors(e, f);
    for (int j = 0; j < e->t->nterms; j++)
        if (e->t->term[j].kind == FIRST && e->s->class[e->t->term[j].operand][c->dim] == PLAIN) f[j] = 1;
    return excess_of(e->s, e->t, c, f) > c->limit || spent(e->s);
}

static void emit_chain(Enumerate *e) {
    S *s = e->s;
    const Setting *t = e->t;
    Chains *c = e->c;
    int d = c->dim, J = t->nterms, M = t->nmarks, *f = new_factors(e);
    term_factors(e, f);
    for (int m = 0; m < M; m++) {
        int kind = s->class[t->operand[m]][d], tile = 1;
        if (kind != IRRELEVANT) tile = s->bound[d] / outside_trips(c, e->trips, c->slots.outside[m], t->fixed[m], s->A);
        f[J + m] = kind == WINDOW ? s->divindex[d][tile] : tile;
        if (kind == WINDOW && s->fanout) f[J + m] = is_fanout(s, t, m) ? 1 : shape_of(e, c->slots.outside[m], t->fixed[m], 0);
    }
    append_chain(e);
}
