/* ---- chains that are being built, with steps of any size: what they have at least, whatever stands outside ---- */

typedef struct {
    Boxes *q;
    const Form *form;
    const Box *box;
    Rows *rows;
    double base[MAXJ], rest;        /* what the other dims make of a factor at least; the terms without one */
    int d, D, K, first;             /* the first row with the same trips */
    int trips[MAXA], with_trips, fans; /* of each axis; the axes that are used, and their fan-outs, as bits */
    int value[MAXV];
    int n, station[MAXL], step[MAXL]; /* loops, inside out: a slot, or AXIS + an axis */
    int inside[MAXS + 1], extent[MAXS + 1]; /* by boundary, once crossed: loops inside, and their extent */
    int held[MAXV];                         /* what loops inside the boundary of each count, once crossed, have that are not counted */
    int crossed, outside;   /* boundaries outside the last one crossed; loops in time that may still come, at most */
    int64_t covers[MAXV];   /* indices that each of these covers at most */
    int nouter[MAXV], outer[MAXV][MAXO]; /* of each count of events: some whose digits it has, too */
    int all, deep; /* loops may also stand beside another of their slot, or in inner slots; now they may */
    int64_t end; /* of the work allowed */
    int cut;     /* there was too much */
    int priced;  /* something was left out for what it costs */
    int above;   /* the count of events that is too large in what was looked at last, or -1 */
    int low[MAXF], high[MAXF]; /* slots of the loops just outside and just inside each fan-out */
    int wanted[MAXF];          /* the segments where other dims may have each fan-out, as bits */
    int nrivals;
    const int *rival[MOST_RIVALS]; /* chains elsewhere, or with other trips, that may be as good */
} Ragged;

enum { MOST_EXTRA = 20000, FEW_EXTRA = 1000, PATIENT = 2, PATIENCE = 50 };

/* Counts work; whether there was too much. */
static int tired(Ragged *r) {
    if (r->q->s->work >= r->end) r->cut = 1;
    return spent(r->q->s) || r->cut;
}

static int unplaced(const Ragged *r, int n) {
    int axes = r->with_trips;
    for (int i = 0; i < n; i++)
        if (r->station[i] >= AXIS) axes &= ~(1 << (r->station[i] - AXIS));
    return axes;
}

static int axes_in(int axes) {
    int n = 0;
    for (; axes; axes &= axes - 1) n++;
    return n;
}

static int64_t trips_on(const Ragged *r, int axes, int less) {
    int64_t n = 1;
    for (int a = 0; a < r->q->s->A; a++)
        if (axes >> a & 1) n *= most_of(r->trips[a] - less, 1);
    return n;
}

/* The words of a tile of neighbours that has nothing outside: the second of those that the loops placed make; 0 if there may be none. */
static int words_between(const Ragged *r, const Count *c, int extent) {
    const Win *w = r->form->win;
    int fixed = 0;
    if (c->boundary < r->crossed || unplaced(r, r->n) & ~c->axes) return 0;
    while (fixed < r->n && (r->station[fixed] >= AXIS ? !(c->axes >> (r->station[fixed] - AXIS) & 1) : r->station[fixed] >= c->boundary)) fixed++;
    if (fixed == r->n) return 0;
    for (int i = fixed; i < r->n; i++)
        if (r->station[i] >= AXIS && !(c->axes >> (r->station[i] - AXIS) & 1)) return 0;
    int step = r->step[fixed], all = fixed + 1 < r->n ? r->step[fixed + 1] : extent;
    return 2 * step <= all && step >= w->low && 2 * step <= r->D - w->high ? with_outside(w, step) : 0;
}

/* The pieces that the loops placed make, as many of which remain in the window that they are: none are joined by loops outside. */
static int pieces_so_far(const Ragged *r, const Count *c, int extent) {
    Chain chain = {extent, r->n, r->station, r->step};
    return in_order(&chain, c) ? 1 : pieces_without_sweep(&chain, c, r->form->win->reach);
}

/* What the loops inside a boundary have, as it is crossed. */
static void hold(Ragged *r, int boundary) {
    int n = r->inside[boundary];
    for (int i = 0; i < r->form->ncounts; i++) {
        const Count *c = &r->form->count[i];
        if (c->boundary == boundary) r->held[i] = valid_digits(r->step, n, r->extent[boundary], loops_in(r->station, n, boundary, 1, ~c->axes));
    }
}

/* The tiles of the extent of the loops placed that are full, at least: with n loops outside one of n + 1. */
static int full_tiles(const Ragged *r, int extent) { return up(up(r->D, extent), r->outside + axes_in(unplaced(r, r->n)) + 1); }

/* What a count of events is at least, whatever loops stand outside those placed, if these extend from `low` to `high`: the further, the
 * more of them are counted inside, and the fewer full tiles there are.
 */
static int64_t events_between(const Ragged *r, int i, int low, int high) {
    const Count *c = &r->form->count[i];
    int b = c->boundary, axes = unplaced(r, r->n), others = axes & ~c->axes;
    int64_t counted = valid_digits(r->step, r->n, low, loops_in(r->station, r->n, b, 0, c->axes));
    if (b < r->crossed) return counted;
    int64_t outer = up(r->D, high * trips_on(r, others, 0)), full = full_tiles(r, high), some = 0;
    int64_t points = r->held[i] * trips_on(r, unplaced(r, r->inside[b]) & ~c->axes, 0); /* of each event, at most */
    if (!axes) some = full * counted + up(r->D - full * high, points);
    full = up(full, trips_on(r, others, 0));
    int64_t least = full * counted + (outer > full ? outer - full : 0);
    least = least > some ? least : some;
    return least > up(r->D, points) ? least : up(r->D, points);
}

/* What a count is at least, whatever loops stand outside those placed, the extent of which is `extent`. */
static int count_at_least(const Ragged *r, int i, int extent) {
    const Count *c = &r->form->count[i];
    int b = c->boundary, known = b >= r->crossed, n = known ? r->inside[b] : r->n, x = known ? r->extent[b] : extent;
    if (c->what == BORDER || (c->tile && c->what != DIGITS && c->what < WORDS)) return 1;
    if (c->tile) {
        int inner = known ? r->held[i] : valid_digits(r->step, n, x, loops_in(r->station, n, 0, 1, ~c->axes));
        int64_t digits = inner * trips_on(r, unplaced(r, n) & ~c->axes, 1);
        if (c->what == DIGITS) return (int)digits;
        const Win *w = r->form->win;
        int words = most_of(w->least[digits < r->D ? digits : r->D], words_between(r, c, extent));
        if (trips_on(r, c->axes & r->with_trips, 1) > w->low + w->high) words = most_of(words, with_outside(w, (int)digits));
        return most_of(1, words - (c->what == FEWER));
    }
    int least = (int)events_between(r, i, extent, extent);
    for (int a = 0; a < r->q->s->A; a++)
        if (c->axes >> a & 1) least = most_of(least, r->trips[a]);
    return least;
}

/* The extents in a row, from one on up or down to a last one, with which there are too many events; the last of them. */
static int same_extents(Ragged *r, int extent, int last) {
    int i = r->above, sign = last < extent ? -1 : 1, at = extent;
    for (int away = 1, growing = 1; away; away = growing ? 2 * away : away / 2) {
        int to = at + sign * away, within = (last - to) * sign >= 0;
        if (within && events_between(r, i, sign > 0 ? extent : to, sign > 0 ? to : extent) > r->box->high[r->d][i]) at = to;
        else growing = 0;
    }
    spent(r->q->s);
    return at;
}

/* What a count is at least, whatever loops stand outside those placed, and however far these extend further. */
static int count_so_far(const Ragged *r, int i, int extent) {
    const Count *c = &r->form->count[i];
    if (c->tile || c->what == BORDER) return c->tile && c->boundary < r->crossed ? count_at_least(r, i, extent) : 1;
    int counted = valid_digits(r->step, r->n, extent, loops_in(r->station, r->n, c->boundary, 0, c->axes)), least = counted;
    for (int k = 0; k < r->nouter[i]; k++) { /* other digits */
        const Count *x = &r->form->count[r->outer[i][k]];
        if (x->boundary < r->crossed && !(x->axes & r->with_trips & ~unplaced(r, r->n)))
            least = most_of(least, counted + r->box->low[r->d][r->outer[i][k]] - 1);
    }
    if (c->what == PIECES && least <= r->box->high[r->d][i]) least = most_of(least, pieces_so_far(r, c, extent));
    return least;
}

/* Events at least: pieces as far as the loops placed extend are alike, but for those cut short. In each of them an event has no more
 * digits than the first one, so that together they cover as many times what that has, or waste some of it. See docs/search.md.
 */
static int64_t wasteful_events(const Ragged *r, int i, int extent) {
    const Count *c = &r->form->count[i];
    unsigned within = loops_in(r->station, r->n, c->boundary, 0, c->axes), all = (1u << r->n) - 1;
    int64_t events = valid_digits(r->step, r->n, extent, within), digits = valid_digits(r->step, r->n, extent, all & ~within);
    return (full_tiles(r, extent) * (events * digits - extent) + r->D + r->covers[i] - 1) / r->covers[i];
}

/* How many indices each event covers at most. */
static void find_covers(Ragged *r) {
    for (int i = 0; i < r->form->ncounts; i++) {
        const Count *c = &r->form->count[i];
        r->covers[i] = c->boundary == r->form->K ? trips_on(r, r->form->usable & ~c->axes, 0) : r->D;
        for (int k = r->form->covered[i]; k < r->form->covered[i + 1]; k++) {
            const Relation *x = &r->form->covers[k];
            int64_t most = r->box->high[r->d][x->y] * trips_on(r, x->axes, 0);
            if (r->form->count[x->y].what == DIGITS && most < r->covers[i]) r->covers[i] = most;
        }
    }
}

/* For each count of events the others that have digits of it alone. */
static void find_outer(Ragged *r) {
    memset(r->nouter, 0, sizeof r->nouter);
    for (int k = 0; k < r->form->nevents; k++) {
        const Relation *x = &r->form->events[k];
        if (r->form->count[x->x].what == DIGITS && !x->axes && r->nouter[x->y] < MAXO) r->outer[x->y][r->nouter[x->y]++] = x->x;
    }
}
