/* ---- ragged chains: the loops of a dim with steps of any size ----
 *
 * A chain is built from its innermost loop out: each loop's step is the extent inside it. For every choice of trips on
 * the axes, `rows` keeps the chains found; a chain is not finished once what it costs at least is too much, its tiles
 * leave the box, or one that was found is as good already whatever follows.
 */

static void keep_chain(Ragged *r) {
    int row[MAXV + MAXA + 2 * MAXF + 1 + MAXL] = {0}, *at = row;
    int A = r->q->s->A, C = r->form->ncounts;
    memcpy(at, r->value, sizeof(int) * C);
    memcpy(at + C, r->trips, sizeof(int) * A);
    at += C + A;
    for (int f = 0; f < MAXF; f++) *at++ = r->low[f], *at++ = r->high[f];
    *at++ = r->n;
    for (int i = r->n - 1; i >= 0; i--) *at++ = r->step[i] * 64 + r->station[i];
    add_row(r->rows, row);
}

/* Counts of digits, or all others, of the chain that is finished; whether they are in the box. */
static int count_all(Ragged *r, const Chain *chain, int digits) {
    for (int i = 0; i < r->form->ncounts; i++) {
        const Count *c = &r->form->count[i];
        if ((c->what == DIGITS) != digits) continue;
        r->value[i] = count_of(r->form, chain, c);
        if (r->value[i] < r->box->low[r->d][i] || r->value[i] > r->box->high[r->d][i]) return 0;
        if (!digits) spent(r->q->s);
    }
    return 1;
}

static void finish_chain(Ragged *r) {
    Chain chain = {r->D, r->n, r->station, r->step};
    if (!count_all(r, &chain, 1) || !count_all(r, &chain, 0)) return;
    open_fanouts(r, 0);
    if (!too_dear(r) && !dominated(r)) keep_chain(r);
}

/* Whether tiles at the boundary that is to be crossed next stay too small, if no loop comes before it. */
static int too_small(const Ragged *r, int slot, int extent) {
    for (int i = 0; i < r->form->ncounts; i++) {
        const Count *c = &r->form->count[i];
        if (!c->tile || c->boundary != slot || c->what != DIGITS) continue;
        double most = valid_digits(r->step, r->n, extent, loops_in(r->station, r->n, 0, 1, ~c->axes));
        if (most * trips_on(r, unplaced(r, r->n) & ~c->axes, 0) < r->box->low[r->d][i]) return 1;
    }
    return 0;
}

/* Where a chain is being built: what is still to come is outside. */
typedef struct {
    int slot, extent;
    int left;          /* fan-outs still to be placed, as bits */
    int must;          /* the slot needs a loop */
    int loops, extra;  /* loops in the slot so far; loops that are to stand beside another of their slot */
    int apart;         /* how many of these fan-outs may still separate */
    int last;          /* what was placed last */
} State;

enum { MARK, LOOP, PARS };

static void ragged_slot(Ragged *r, State at);

static void push(Ragged *r, int station, int step) {
    r->station[r->n] = station;
    r->step[r->n++] = step;
}

/* Whether the slot has room for a loop. */
static int may_loop(const Ragged *r, const State *at) {
    if (!at->loops) return r->deep || !r->form->slots.inner[at->slot];
    return at->extra && (at->apart || at->loops < r->form->room[at->slot]);
}

/* Whether this slot and those further out have room for the loops that are to stand beside others. */
static int roomy(const Ragged *r, const State *at) {
    int room = at->apart + most_of(0, r->form->room[at->slot] - most_of(at->loops, 1));
    for (int k = 0; k < at->slot; k++) room += r->form->room[k] - 1;
    return room >= at->extra;
}

/* Whether the outermost loop of an inner slot can be moved out of it: not if pars stand outside it, where other dims may want them. */
static int may_leave(const Ragged *r, const State *at) {
    return r->form->slots.inner[at->slot] && at->loops && at->last != PARS;
}

/* The pars of a fan-out, inside out; then the rest of the slot. */
static void ragged_pars(Ragged *r, State at, int axes) {
    S *s = r->q->s;
    if (!axes) {
        at.last = PARS;
        ragged_slot(r, at);
        return;
    }
    for (int a = 0; a < s->A; a++) {
        if (!(axes >> a & 1) || r->n == MAXL) continue;
        int step = at.extent, most = r->trips[a] > r->D / step ? r->D : r->trips[a] * step, rest = axes & ~(1 << a);
        if (most < r->D && !rest && !at.left && !may_loop(r, &at) && !at.slot) continue;
        push(r, AXIS + a, step);
        r->outside = at.slot + !at.loops + at.extra;
        for (int x = most; x > (r->trips[a] - 1) * step && !tired(r); x--) {
            at.extent = x;
            int worth = hopeless(r, x, at.left);
            if (worth == WORTH) {
                ragged_pars(r, at, rest);
                r->outside = at.slot + !at.loops + at.extra;
            } else if (r->above >= 0 && x < r->D)
                x = same_extents(r, x, (r->trips[a] - 1) * step + 1);
            if (x == r->D && !at.slot && !rest && !at.left && !may_loop(r, &at)) break;
        }
        at.extent = step;
        r->n--;
    }
}

static void cross_mark(Ragged *r, State at) {
    int crossed = r->crossed, needed = may_leave(r, &at);
    if ((at.must || r->form->must >> at.slot & 1) && !at.loops) return;
    r->crossed = at.slot;
    r->inside[at.slot] = r->n;
    r->extent[at.slot] = at.extent;
    hold(r, at.slot);
    r->outside = at.slot + at.extra;
    if (!hopeless(r, at.extent, at.left)) {
        State next = {at.slot - 1, at.extent, at.left, needed, 0, at.extra, at.apart, MARK};
        ragged_slot(r, next);
    }
    r->crossed = crossed;
}

static void place_fanout(Ragged *r, State at, int f) {
    r->low[f] = -1;
    r->high[f] = r->K;
    for (int i = 0; i < r->n; i++)
        if (r->station[i] < AXIS) r->high[f] = r->station[i];
    at.left &= ~(1 << f);
    ragged_pars(r, at, r->with_trips & r->q->s->fanaxes[f]);
}

/* The least extent from one on with which events at marks further in may be few enough; the whole dim if none is. */
static int few_events(const Ragged *r, int from) {
    for (int i = 0; i < r->form->ncounts; i++) {
        const Count *c = &r->form->count[i];
        if (c->tile || c->what == BORDER || c->boundary < r->crossed) continue;
        int counted = valid_digits(r->step, r->n, from, loops_in(r->station, r->n, c->boundary, 0, c->axes));
        int64_t left = r->box->high[r->d][i] - counted + 1;
        if (left <= 0) return r->D;
        from = most_of(from, up(r->D, left * trips_on(r, unplaced(r, r->n) & ~c->axes, 0)));
    }
    return from;
}

/* A loop whose step is the extent; the outermost one has the whole dim. */
static void place_loop(Ragged *r, State at) {
    S *s = r->q->s;
    int closed = 0, step = at.extent;
    for (int f = 0; f < s->F; f++)
        if (r->fans >> f & ~at.left >> f & 1 && r->low[f] < 0) closed |= 1 << f;
    for (int f = 0; f < s->F; f++)
        if (closed >> f & 1) r->low[f] = at.slot || r->form->slots.segment[0] ? at.slot : -1;
    if (at.loops) at.extra--;
    if (at.loops >= r->form->room[at.slot]) at.apart--;
    at.loops++;
    at.last = LOOP;
    push(r, at.slot, step);
    r->outside = at.slot + at.extra;
    int outermost = !at.slot && !at.left && !at.extra, from = outermost ? r->D : step + 1;
    if (!at.slot && !at.extra) from = most_of(from, up(r->D, trips_on(r, unplaced(r, r->n), 0)));
    if (!at.extra && from < r->D && too_small(r, at.slot, from)) {
        int large = r->D; /* too small below it */
        while (from + 1 < large) {
            int middle = from + (large - from) / 2;
            if (too_small(r, at.slot, middle)) from = middle;
            else large = middle;
        }
        from = large;
    }
    if (from < r->D) from = few_events(r, from);
    for (int x = from; x <= r->D && !tired(r); x++) {
        at.extent = x;
        int worth = x == r->D ? WORTH : hopeless(r, x, at.left);
        if (worth == TOO_FAR) break;
        if (worth == WORTH) {
            ragged_slot(r, at);
            r->outside = at.slot + at.extra;
        } else if (r->above >= 0)
            x = same_extents(r, x, r->D - 1);
    }
    r->n--;
    for (int f = 0; f < s->F; f++)
        if (closed >> f & 1) r->low[f] = -1;
}

static void ragged_slot(Ragged *r, State at) {
    if (at.extent == r->D) {
        if (r->form->must & ((1u << (at.slot + !at.loops)) - 1)) return; /* slots further out, or this one */
        if (!at.left && !at.extra && (at.loops ? !may_leave(r, &at) : !at.must)) finish_chain(r);
        return;
    }
    if (!roomy(r, &at)) return;
    if (at.slot) cross_mark(r, at);
    for (int f = 0; f < r->q->s->F && at.last != MARK; f++)
        if (at.left >> f & 1) place_fanout(r, at, f);
    if (may_loop(r, &at) && r->n < MAXL) place_loop(r, at);
}

/* Whether a chain found is as good as any in the box with the trips chosen. */
static int best_known(Ragged *r) {
    Box *box = malloc(sizeof *box);
    *box = *r->box;
    for (int a = 0; a < r->q->s->A; a++) box->most[r->d][a] = box->least[r->d][a] = r->trips[a];
    Dim x;
    begin_dim(&x, r->q->s, r->form, box, r->d);
    for (int i = 0; i < r->form->ncounts; i++) {
        const Count *c = &r->form->count[i];
        r->value[i] = c->tile || c->what == BORDER ? box->low[r->d][i]
                              : most_of(box->low[r->d][i], (int)least_events(&x, i));
    }
    free(box);
    r->n = 0;
    open_fanouts(r, r->fans);
    return too_dear(r) || dominated(r);
}

/* All chains with the trips chosen, those with few loops that stand beside another first. */
static void ragged_trips(Ragged *r) {
    S *s = r->q->s;
    r->fans = r->with_trips = 0;
    for (int a = 0; a < s->A; a++)
        if (r->trips[a] > 1) r->with_trips |= 1 << a;
    for (int f = 0; f < s->F; f++)
        if (s->fanaxes[f] & r->with_trips) r->fans |= 1 << f;
    r->first = r->rows->n;
    find_covers(r);
    meet(r);
    for (int pass = 0; pass <= (r->all ? r->form->extra + 1 : 0) && !s->stopped && !r->cut; pass++) {
        int extra = pass ? pass - 1 : 0;
        if (pass && best_known(r)) break;
        r->deep = pass > 0;
        int64_t most = s->timed && s->ports ? FEW_EXTRA : MOST_EXTRA; /* with bounds only it seldom pays */
        r->end = pass ? s->work + most * (r->all == PATIENT ? PATIENCE : 1) : INT64_MAX;
        State at = {r->K - 1, 1, r->fans, 0, 0, extra, s->F, PARS};
        r->n = 0;
        r->crossed = r->K;
        r->inside[r->K] = 0;
        r->extent[r->K] = 1;
        hold(r, r->K);
        ragged_slot(r, at);
    }
}

static void ragged_axes(Ragged *r, int axis) {
    if (axis == r->q->s->A) {
        ragged_trips(r);
        return;
    }
    for (int n = r->box->least[r->d][axis]; n <= r->box->most[r->d][axis] && !r->q->s->stopped; n++) {
        r->trips[axis] = n;
        ragged_axes(r, axis + 1);
    }
}

/* The chains of a dim within a box, the other dims costing what they cost there at least, with each fan-out in one of the segments
 * wanted; whether all were found.
 */
static int ragged(Boxes *q, const Box *box, int d, int all, const int *wanted, Rows *rows) {
    Ragged r;
    memset(&r, 0, sizeof r);
    r.q = q, r.form = &q->form[d], r.box = box, r.rows = rows, r.d = d, r.all = all;
    r.D = r.form->D, r.K = r.form->K, r.rest = q->t->constant;
    rows->width = r.form->ncounts + q->s->A + 2 * MAXF + 1 + MAXL;
    for (int j = 0; j < q->t->nterms; j++) {
        double value = q->s->timed ? 1 : q->t->term[j].coefficient;
        int window = q->s->class[q->t->term[j].operand][d] == WINDOW && r.form->inner;
        for (int o = 0; o < q->s->D; o++)
            if (o != d && !(window && o == r.form->win->dim[0])) value *= q->f[o][j];
        if (q->s->timed || (r.form->of[j] >= 0 && value > 0)) r.base[j] = value;
        else r.rest += value * q->f[d][j];
    }
    find_outer(&r);
    memcpy(r.wanted, wanted, sizeof r.wanted);
    const Empty *known = known_empty(q, box, d, wanted);
    if (known && (known->whole || all < PATIENT)) return known->whole;
    int first = rows->n;
    ragged_axes(&r, 0);
    for (int i = first; i < rows->n; i++) know(q, d, rows->value + (size_t)i * rows->width, rows->width);
    if (all && !rows->n && !r.priced && !q->s->stopped) note_empty(q, box, d, wanted, !r.cut);
    return !r.cut;
}
