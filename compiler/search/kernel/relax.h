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

/* The factor of a term at least. */
static int relaxed_factor(const Relax *r, const Term *term, int kind) {
    const Chains *c = r->e.c;
    int boundary = term->mark < 0 ? r->K : c->slots.outside[term->mark], own = spread(r->e.s, term, c->dim);
    if (kind == IRRELEVANT) return term->kind == FIRST ? most_instances(r, term->irr) : pieces(r, boundary, term->irr);
    if (term->kind == EVENTS) return 1;
    if (term->kind == FIRST) {
        int tile = tile_at_least(r, boundary, own);
        return kind == WINDOW ? tile | tile << PACK : tile;
    }
    if (kind == WINDOW) return pieces(r, boundary, term->win) | most_instances(r, term->win) << PACK;
    return term->kind == BUSIEST && own ? up(r->D, instances(r, own)) : 1;
}

static int emit_relaxed(Relax *r) {
    Enumerate *e = &r->e;
    S *s = e->s;
    const Setting *t = e->t;
    Chains *c = e->c;
    int d = c->dim, J = t->nterms, K = r->K, *f = new_factors(e);
    for (int j = 0; j < J; j++) {
        const Term *term = &t->term[j];
        f[j] = relaxed_factor(r, term, s->class[term->operand][d]);
        if (s->timed) f[J + t->nmarks + j] = term->kind == BUSIEST ? (int)instances(r, spread(s, term, d)) : 1;
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
        if (term->kind != ALL && kind != IRRELEVANT) { /* a part of what it needs */
            int own = (int)instances(r, spread(r->e.s, term, r->e.c->dim));
            key[n++] = kind == WINDOW && term->kind == BUSIEST ? own : up(r->D, own);
        }
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
    if (ticked(s, 0)) return;
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
    if (r->e.s->stopped) return;
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
            if (t->held[k] >> m & 1 && t->limit[k] / t->weight[m] < r->most[b])
                r->most[b] = (int)(t->limit[k] / t->weight[m]);
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
    for (int i = 0; i < s->ndiv[c->dim] && s->div[c->dim][i] <= most && !s->stopped; i++) {
        int n = s->div[c->dim][i];
        if (left % n) continue;
        e->trips[at] = n;
        if (s->each && !axis && dear_already(e, at, left / n)) break;
        enumerate(e, position + 1, left / n);
    }
}
