/* ---- steps of any size: what there is to choose ----
 *
 * Every count of a dim follows from its own loops. A form says which counts a placement needs of a dim; a box says
 * within what limits its tiles and its trips on the axes are looked for.
 */

/* A relation of the counts x and y: by how many trips on axes they differ. */
typedef struct {
    short x, y, axes, only; /* `only`: it holds only where these axes have no trips */
    short more;             /* axes whose digits y has and x has not, if y has all others of x */
} Relation;

typedef struct {
    int D, K, dim, extra;         /* its bound, slots, and loops that may stand beside another of their slot */
    int usable;                   /* axes, as bits */
    int overflow;                 /* there are more counts than there is room for */
    Slots slots;
    int room[MAXS];               /* by slot: loops that marks irrelevant to the dim may have separated */
    int ncounts, of[MAXJ + MAXM]; /* which count each factor is, or -1: one */
    int all[MAXJ];                /* which count is that of all pieces, or residues, if a sweep leaves less of them; or -1 */
    int residues[MAXM];           /* which count is that of the residues in the tile of each mark */
    int border[MAXJ];             /* which count says what a tile at the border has outside, or -1 */
    int runs[MAXM];               /* and that of its runs, or -1 */
    int words[MAXM], fewer[MAXM]; /* and which those of the words of the largest tile, or -1 if no padding is free; see borders.h */
    const Win *win;               /* of dims that a window couples, and whether this is the inner one */
    int inner;
    int shared;                   /* axes over which instances share the words of a window: more trips, less for the busiest */
    unsigned must;                /* slots that need a loop: there sweeps begin */
    uint64_t joint;               /* counts of the digits of several axes alone */
    unsigned several;             /* counts that are two at least: such a loop is outside */
    int ntiles, nevents, ncovers;
    Relation tiles[MAXR], events[MAXR]; /* of tiles to those around them, of events to those further in */
    Relation covers[MAXR];              /* of events to tiles that cover them */
    int covered[MAXV + 1];              /* the first of these of each count */
    Count count[MAXV];
} Form;

typedef struct {
    int low[MAXD][MAXV], high[MAXD][MAXV];     /* by count */
    int least[MAXD][MAXA], most[MAXD][MAXA];   /* trips */
} Box;

typedef struct Rows {
    int *value, width, n, capacity, next; /* records: counts, trips, places of the fan-outs, number of loops, loops */
} Rows;

typedef struct Plan {
    int setting, order[MAXM];
    Sweeps sweeps;
    Form *form;         /* by dim */
    Rows *known;        /* by dim: chains that were found, see known.h */
    double bound;
    int number;
} Plan;

typedef struct {
    S *s;
    const Setting *t;
    const Plan *plan;
    const Form *form;
    double most;              /* what is looked for costs no more */
    double f[MAXD][MAXJ];     /* what each dim's factor of a term is at least */
    double open;              /* the least bound of what was not looked at */
} Boxes;

static int add_count(Form *form, int usable, Count c) {
    c.axes &= usable;
    int i = 0;
    while (i < form->ncounts && memcmp(&form->count[i], &c, sizeof c)) i++;
    if (i == MAXV) form->overflow = 1;
    else if (i == form->ncounts) form->count[form->ncounts++] = c;
    return i == MAXV ? -1 : i;
}

/* The counts of a window that a transfer to a mark needs of one of its dims. */
static void count_window(const S *s, const Setting *t, const Plan *plan, int j, Form *form) {
    const Term *x = &t->term[j];
    int b = x->mark < 0 ? form->K : form->slots.outside[x->mark], sweeps = x->mark < 0 ? 0 : plan->sweeps.dim[x->mark];
    int own = spread(s, x, form->dim);
    Count first = {1, b, own, DIGITS, b, 0}, share = {1, 0, own, DIGITS, 0, 0};
    if (x->kind == FIRST) form->of[j] = add_count(form, form->usable, first);
    if (x->kind == BUSIEST && own) add_count(form, form->usable, share), form->shared |= own;
    if (x->kind == FIRST || x->kind == EVENTS) return;
    Count c = {0, b, x->win, form->inner ? RESIDUES : PIECES, b, 0}, all = c;
    if (x->slide && sweeps && (form->win->dim[0] == sweeps - 1 || form->win->dim[1] == sweeps - 1)) {
        int united = t->fixed[x->mark] & ~x->win;
        if (sweeps == form->dim + 1) {
            c.boundary = slots_before(&form->slots, plan->sweeps.start[x->mark]);
            if (c.boundary < b && !form->inner) c.united = united & form->usable;
        } else
            all.axes |= united;
    }
    form->of[j] = add_count(form, form->usable, c);
    form->all[j] = add_count(form, form->usable, all);
    if (x->padding || s->timed || !shared_outside(form->win)) return;
    c.what = BORDER;
    form->border[j] = add_count(form, form->usable, c);
}

/* Where a window sweeps along the dim there is a loop to do so. */
static void count_sweeps(const Setting *t, const Plan *plan, Form *form) {
    for (int m = 0; m < t->nmarks; m++) {
        if (plan->sweeps.dim[m] != form->dim + 1) continue;
        int b = form->slots.outside[m];
        Count events = {0, b, 0, DIGITS, b, 0};
        form->must |= 1u << slots_before(&form->slots, plan->sweeps.start[m]);
        int i = add_count(form, form->usable, events);
        if (i >= 0) form->several |= 1u << i;
    }
}

static void add_relation(Form *form, Relation *list, int *n, int x, int y, int axes, int only, int more) {
    axes &= form->usable, only &= form->usable, more &= form->usable;
    if (*n == MAXR) form->overflow = 1;
    else list[(*n)++] = (Relation){(short)x, (short)y, (short)axes, (short)only, (short)(axes ? 0 : more)};
}

/* Events within events: of pieces and residues there are no fewer, and as many where no axis has trips. */
static void relate_pair(Form *form, int i, int k) {
    const Count *x = &form->count[i], *y = &form->count[k];
    int differ = x->axes & ~y->axes;
    if (x->boundary > y->boundary || x->what == BORDER || y->what == BORDER) return; /* all loops of x, but for axes, are of y */
    if (x->what == DIGITS) add_relation(form, form->events, &form->nevents, i, k, differ, 0, y->axes & ~x->axes);
    else if (x->what == y->what && x->until <= y->until) add_relation(form, form->events, &form->nevents, i, k, 0, differ, 0);
    else if (x->what == PIECES || form->win->modulus == 1)
        add_relation(form, form->events, &form->nevents, i, k, 0, form->usable, 0);
}

/* The axes over which a tile must be counted to cover what one of the events does not tell apart, or -1. */
static int cover(const Count *tile, const Count *events) {
    return tile->tile && (tile->what == DIGITS || tile->what == WORDS) && tile->boundary <= events->boundary ? tile->axes & ~events->axes : -1;
}

static void relate(Form *form) {
    for (int i = 0; i < form->ncounts; i++) {
        const Count *x = &form->count[i];
        form->covered[i] = form->ncovers;
        for (int k = 0; k < form->ncounts; k++) {
            const Count *y = &form->count[k];
            if (k != i && !x->tile && !y->tile) relate_pair(form, i, k);
            if (!x->tile && x->what != BORDER && y->what == DIGITS && cover(y, x) >= 0) add_relation(form, form->covers, &form->ncovers, i, k, cover(y, x), 0, 0);
            if (k == i || !x->tile || !y->tile || x->what != DIGITS || y->what != DIGITS) continue;
            if (y->boundary <= x->boundary) /* x is inside y, but for axes fixed for y alone */
                add_relation(form, form->tiles, &form->ntiles, i, k, y->axes & ~x->axes, 0, x->axes & ~y->axes);
        }
    }
    form->covered[form->ncounts] = form->ncovers;
}

/* How many loops each slot may have that no fan-out separates: one more than the marks that the dim is irrelevant to around its
 * segment; or as many as a slot further in, where these may have been moved out of it.
 */
static void make_room(const S *s, const Setting *t, const int *order, Form *form) {
    for (int k = form->K - 1; k >= 0; k--) {
        int first = form->slots.segment[k], last = first;
        while (first > 0 && s->class[t->operand[order[first - 1]]][form->dim] == IRRELEVANT) first--;
        while (last < t->nmarks && s->class[t->operand[order[last]]][form->dim] == IRRELEVANT) last++;
        form->room[k] = last - first + 1;
        if (k + 1 < form->K && form->slots.inner[k + 1]) form->room[k] = most_of(form->room[k], form->room[k + 1]);
    }
}

static void make_form(const S *s, const Setting *t, const Plan *plan, int dim, Form *form) {
    const int *order = plan->order;
    memset(form, 0, sizeof *form);
    slots_of(s, t, order, dim, 1, closed_segments(t, order, &plan->sweeps, dim),
             swept_segments(t, order, &plan->sweeps, dim), &form->slots);
    for (int w = 0; w < s->W; w++)
        for (int i = 0; i < 2; i++)
            if (s->win[w].dim[i] == dim) form->win = &s->win[w], form->inner = i;
    form->dim = dim;
    form->D = s->bound[dim];
    form->K = form->slots.nslots;
    form->extra = s->F;
    make_room(s, t, order, form);
    count_sweeps(t, plan, form);
    for (int a = 0; a < s->A; a++)
        if (s->size[a] > 1 && s->allowed[a] >> dim & 1) form->usable |= 1 << a;
    for (int j = 0; j < t->nterms; j++) {
        const Term *x = &t->term[j];
        int b = x->mark < 0 ? form->K : form->slots.outside[x->mark], own = spread(s, x, dim);
        int outer = x->kind == FIRST ? 0 : b;
        Count events = {0, outer, x->irr, DIGITS, outer, 0}, tile = {1, b - outer, own, DIGITS, b - outer, 0};
        form->of[j] = form->all[j] = form->border[j] = -1;
        if (s->class[x->operand][dim] == WINDOW) count_window(s, t, plan, j, form);
        else if (s->class[x->operand][dim] == IRRELEVANT) {
            if (x->kind != FIRST || x->irr & form->usable) form->of[j] = add_count(form, form->usable, events);
        } else if (x->kind == FIRST || (x->kind == BUSIEST && own))
            form->of[j] = add_count(form, form->usable, tile);
    }
    if (form->win && s->gdims[s->group[dim]] > 1) {
        Count scatter = {1, 0, 0, SCATTER, 0, 0};
        add_count(form, form->usable, scatter);
    }
    for (int m = 0; m < t->nmarks; m++) {
        int kind = s->class[t->operand[m]][dim], relevant = kind != IRRELEVANT, b = form->slots.outside[m];
        Count c = {1, b, t->fixed[m], DIGITS, b, 0}, residues = {1, b, t->fixed[m], RESIDUES, b, 0}, words = {1, b, t->fixed[m], WORDS, b, 0}, fewer = words;
        form->of[t->nterms + m] = relevant ? add_count(form, form->usable, c) : -1;
        form->residues[m] = kind == WINDOW && form->inner ? add_count(form, form->usable, residues) : -1;
        Count runs = {1, b, t->fixed[m], RUNS, b, 0};
        form->runs[m] = kind == WINDOW && !form->inner && !s->timed && form->win->dim[1] >= 0 ? add_count(form, form->usable, runs) : -1;
        int border = kind == WINDOW && !form->inner && !t->padded[m] && form->win->outside;
        fewer.what = FEWER;
        form->words[m] = border ? add_count(form, form->usable, words) : -1;
        form->fewer[m] = border && form->win->inner > form->win->alike + form->win->both ? add_count(form, form->usable, fewer) : -1;
        form->extra += !relevant;
    }
    for (int i = 0; i < form->ncounts; i++) {
        const Count *x = &form->count[i];
        if (!x->tile && x->what == DIGITS && !x->boundary && x->axes & (x->axes - 1)) form->joint |= (uint64_t)1 << i;
    }
    relate(form);
}

static void whole_box(const S *s, const Form *form, Box *box) {
    for (int d = 0; d < s->D; d++) {
        for (int i = 0; i < form[d].ncounts; i++) {
            box->low[d][i] = 1 + (i < 32 && form[d].several >> i & 1);
            int what = form[d].count[i].what;
            box->high[d][i] = what == BORDER ? form[d].win->outside + 1 : what >= WORDS ? most_of((int)form[d].win->touched[0], 1) : form[d].D;
        }
        for (int a = 0; a < s->A; a++) {
            int most = s->size[a] < form[d].D ? s->size[a] : form[d].D;
            box->least[d][a] = 1;
            box->most[d][a] = form[d].usable >> a & 1 ? most : 1;
        }
    }
}

/* The digits that some axes have together at most; the counts of the digits of several axes limit them, too. */
static double most_trips(const S *s, const Form *form, const Box *box, int d, int axes) {
    double n = 1;
    for (int a = 0; a < s->A; a++)
        if (axes >> a & 1) n *= box->most[d][a];
    for (int i = 0; i < form->ncounts && form->joint >> i && n > 1; i++) {
        int others = axes & ~form->count[i].axes;
        if (form->joint >> i & 1 && others != axes) n = smaller(n, box->high[d][i] * (others ? most_trips(s, form, box, d, others) : 1));
    }
    return n;
}

/* ---- propagation: limits that follow from others ---- */

static int raise(int *value, double to) {
    if (to <= *value) return 0;
    *value = (int)smaller(ceil(to), 1 << 30);
    return 1;
}

static int lower(int *value, double to) {
    if (to >= *value) return 0;
    *value = (int)larger(floor(to), 0);
    return 1;
}

/* The digits that some axes have together at least: of the steps of the outer one all but the last are full. */
static double least_trips(const S *s, const Box *box, int d, int axes) {
    int trips[MAXA], n = 0;
    double all = 1;
    for (int a = 0; a < s->A; a++) {
        if (!(axes >> a & 1) || box->least[d][a] == 1) continue;
        int at = n++;
        for (; at > 0 && trips[at - 1] < box->least[d][a]; at--) trips[at] = trips[at - 1];
        trips[at] = box->least[d][a];
    }
    for (int i = 0; i < n; i++) all = i ? (trips[i] - 1) * all + 1 : trips[i];
    return all;
}

/* What a count of events is at least: each covers no more indices than a tile. */
static double least_events(const S *s, const Form *form, const Box *box, int d, int i) {
    const Count *c = &form->count[i];
    double covered = form->D, least = least_trips(s, box, d, c->axes);
    if (c->boundary == form->K) covered = smaller(covered, most_trips(s, form, box, d, form->usable & ~c->axes));
    for (int r = form->covered[i]; r < form->covered[i + 1]; r++) {
        const Relation *x = &form->covers[r];
        double n = box->high[d][x->y];
        if (n < covered) covered = smaller(covered, n * most_trips(s, form, box, d, x->axes));
    }
    return larger(least, ceil(form->D / covered));
}

/* Digits within digits: x has all of y but for some trips, and y has more by the steps of other axes from the first one on. */
static int relate_counts(const S *s, const Form *form, Box *box, int d, const Relation *x) {
    double n = x->axes ? most_trips(s, form, box, d, x->axes) : 1, more = x->more ? least_trips(s, box, d, x->more) - 1 : 0;
    int changed = lower(&box->high[d][x->x], box->high[d][x->y] * n - more);
    return changed | raise(&box->low[d][x->y], box->low[d][x->x] / n + more);
}

/* Tiles within tiles. */
static int relate_tiles(const S *s, const Form *form, Box *box, int d) {
    int changed = 0, *low = box->low[d], *high = box->high[d];
    for (int i = 0; i < form->ncounts; i++) {
        const Count *x = &form->count[i];
        if (!x->tile || x->what != DIGITS) continue;
        if (!x->boundary) changed |= raise(&low[i], form->D / most_trips(s, form, box, d, x->axes));
        changed |= raise(&low[i], least_trips(s, box, d, form->usable & ~x->axes));
        for (int a = 0; a < s->A; a++)
            if (form->usable & ~x->axes & 1 << a) changed |= lower(&box->most[d][a], high[i]);
    }
    for (int r = 0; r < form->ntiles; r++) {
        const Relation *x = &form->tiles[r];
        changed |= relate_counts(s, form, box, d, x);
    }
    for (int i = 0; i < form->ncounts; i++)
        if (low[i] > high[i]) return -1;
    return changed;
}

/* Events within events. */
static int relate_events(const S *s, const Form *form, Box *box, int d) {
    int changed = 0, *low = box->low[d], *high = box->high[d];
    for (int r = 0; r < form->nevents; r++) {
        const Relation *x = &form->events[r];
        if (x->only && most_trips(s, form, box, d, x->only) > 1) continue;
        changed |= relate_counts(s, form, box, d, x);
    }
    for (int i = 0; i < form->ncounts; i++)
        if (low[i] > high[i]) return -1;
    return changed;
}

/* What the counts of an outer dim are for the tile of a mark at the border. */
static Border border_of(const Form *form, int m, const int *count) {
    Border border = {form->words[m] < 0 ? 0 : count[form->words[m]], form->fewer[m] < 0 ? 0 : count[form->fewer[m]],
                     form->runs[m] < 0 ? 1 : count[form->runs[m]]};
    return border;
}

/* The tile of a mark in the window of its outer dim at least. */
static double window_tile(const Boxes *q, const Box *box, int m, int outer) {
    const Win *x = q->form[outer].win;
    int i = x->dim[1], at = q->t->nterms + m;
    double inner = i < 0 ? 1 : box->low[i][q->form[i].of[at]], residues = i < 0 ? 1 : box->low[i][q->form[i].residues[m]];
    return tile_of(x, border_of(&q->form[outer], m, box->low[outer]), box->low[outer][q->form[outer].of[at]], inner, residues);
}

/* What a dim makes of a tile at least; of a window the outer dim answers for both. */
static double tile_factor(const Boxes *q, const Box *box, int m, int d) {
    int i = q->form[d].of[q->t->nterms + m];
    if (i < 0) return 1;
    if (q->s->class[q->t->operand[m]][d] != WINDOW) return box->low[d][i];
    return q->form[d].inner ? 1 : window_tile(q, box, m, d);
}

/* A tile at the border has so many words at most. */
static int limit_words(const Boxes *q, Box *box, int m, int d, double words) {
    const Form *form = &q->form[d];
    int i = form->words[m], inner = form->win->dim[1], at = q->t->nterms + m;
    if (i < 0) return 0;
    int changed = lower(&box->high[d][form->of[at]], words + form->win->one) << d;
    if (inner >= 0 && box->low[inner][q->form[inner].of[at]] < form->win->inner) return changed;
    return changed | lower(&box->high[d][i], words) << d;
}

/* The words of a tile are `times` as many at most. Returns the dims that change, as bits. */
static int limit_tile(const Boxes *q, Box *box, int m, int d, double times) {
    const Form *form = &q->form[d];
    int at = q->t->nterms + m, i = form->of[at], k;
    if (i < 0 || (q->s->class[q->t->operand[m]][d] == WINDOW && form->inner)) return 0;
    if (q->s->class[q->t->operand[m]][d] != WINDOW) return lower(&box->high[d][i], times * box->low[d][i]) << d;
    double words = times * window_tile(q, box, m, d);
    int limited = limit_words(q, box, m, d, words);
    if (form->words[m] >= 0) words += outside_of(form->win);
    if ((k = form->win->dim[1]) < 0) return limited | lower(&box->high[d][i], words) << d;
    int *residues = &box->low[k][q->form[k].residues[m]], inner = q->form[k].of[at];
    int changed = limited | lower(&box->high[d][i], (words - box->low[k][inner]) / *residues + 1) << d;
    return changed | lower(&box->high[k][inner], words - *residues * (box->low[d][i] - 1.0)) << k;
}

/* Tiles within capacities; returns the dims that change, or -1 if the least tiles are too large. */
static int relate_capacities(const Boxes *q, Box *box) {
    const Setting *t = q->t;
    int changed = 0, D = q->s->D;
    for (int k = 0; k < t->ncaps; k++) {
        double words[MAXM], sum = 0;
        for (int m = 0; m < t->nmarks; m++) {
            if (!(t->held[k] >> m & 1)) continue;
            words[m] = t->weight[m];
            for (int d = 0; d < D; d++) words[m] *= tile_factor(q, box, m, d);
            sum += words[m];
        }
        if (sum > t->limit[k]) return -1;
        for (int m = 0; m < t->nmarks; m++)
            for (int d = 0; d < D && t->held[k] >> m & 1; d++)
                changed |= limit_tile(q, box, m, d, (t->limit[k] - sum + words[m]) / words[m]);
    }
    return changed;
}

/* Residues in tiles, and in all tiles, at least. */
static int relate_residues(const S *s, const Form *form, Box *box, int d) {
    int changed = 0, inner = inner_bound(s, form->win), alike = up(inner, least_residues(s, form->win));
    for (int i = 0; i < form->ncounts && form->inner; i++) {
        const Count *x = &form->count[i];
        if (x->what != RESIDUES) continue;
        if (!x->tile) changed |= raise(&box->low[d][i], least_residues(s, form->win));
        for (int k = 0; k < form->ncounts && x->tile; k++) {
            const Count *y = &form->count[k];
            if (y->tile && y->what == DIGITS && y->boundary == x->boundary && y->axes == x->axes)
                changed |= raise(&box->low[d][i], up(box->low[d][k], alike));
        }
        if (box->low[d][i] > box->high[d][i]) return -1;
    }
    return changed;
}

/* Whether some of the largest tiles have nothing outside: more of them are full than there are outer indices with something outside. */
static int full_within(const S *s, const Form *form, const Box *box, int d, int i) {
    const Win *x = form->win;
    const Count *c = &form->count[i];
    double full = 1;
    for (int a = 0; a < s->A; a++)
        if (c->axes >> a & 1) full *= box->least[d][a] > 2 ? box->least[d][a] - 1 : 1;
    if (full > x->low + x->high) return 1;
    if (x->high > 1 || most_trips(s, form, box, d, form->usable) > 1) return 0;
    for (int k = 0; k < form->ncounts; k++) { /* tiles of neighbours, in time only: the second full one, unless it is the last */
        const Count *y = &form->count[k];
        if (!y->tile && y->what == DIGITS && y->boundary == c->boundary && box->low[d][k] >= y->boundary + form->extra + 2) return 1;
    }
    return 0;
}

/* Words of tiles at the border, digits in them, and events: all tiles together have to cover the outer dim. */
static int relate_words(const S *s, const Form *form, Box *box, int d) {
    const Win *x = form->win;
    int changed = 0, *low = box->low[d], *high = box->high[d], least = x->inner - x->alike;
    double points = (double)x->alike * form->D - x->outside;
    for (int i = 0; i < form->ncounts; i++) {
        if (form->count[i].what != WORDS) continue;
        double tiles = form->D;
        for (int k = 0; k < form->ncounts; k++) {
            const Count *y = &form->count[k];
            int same = y->tile && y->boundary == form->count[i].boundary && y->axes == form->count[i].axes;
            if (same && y->what == FEWER) changed |= raise(&low[k], low[i] - 1);
            if (same && y->what == DIGITS) {
                int within = low[k] >= x->low && full_within(s, form, box, d, i);
                changed |= raise(&low[i], within ? with_outside(x, low[k]) : x->least[low[k]]);
                changed |= lower(&high[k], most_inside(x, form->D, high[i]));
            }
            if (y->tile || y->what == BORDER || cover(&form->count[i], y) < 0) continue;
            double apart = most_trips(s, form, box, d, cover(&form->count[i], y));
            tiles = smaller(tiles, high[k] * apart);
            if (high[i] > least) changed |= raise(&low[k], points / ((high[i] - least) * apart));
        }
        changed |= raise(&low[i], least + points / tiles);
        if (low[i] > high[i]) return -1;
    }
    return changed;
}

static int relate_mesh(const Boxes *q, Box *box) {
    int changed = 0;
    for (int a = 0; a < q->s->A; a++) {
        double n = 1;
        for (int d = 0; d < q->s->D; d++) n *= box->least[d][a];
        if (n > q->s->size[a]) return -1;
        for (int d = 0; d < q->s->D; d++) changed |= lower(&box->most[d][a], q->s->size[a] * box->least[d][a] / n) << d;
    }
    return changed;
}

/* Events must be few enough, so tiles and trips large enough. */
static int need_cover(const S *s, const Form *form, Box *box, int d, int i) {
    const Count *c = &form->count[i];
    double events = box->high[d][i], covered = ceil(form->D / events);
    int changed = 0, end = form->covered[i + 1] + (c->boundary == form->K);
    for (int r = form->covered[i]; r < end; r++) {
        int last = r == form->covered[i + 1], axes = last ? form->usable & ~c->axes : form->covers[r].axes;
        double all = most_trips(s, form, box, d, axes) * (last ? 1 : box->high[d][form->covers[r].y]);
        if (all < covered) return -1;
        if (!last) changed |= raise(&box->low[d][form->covers[r].y], covered * box->high[d][form->covers[r].y] / all);
        for (int a = 0; a < s->A; a++)
            if (axes >> a & 1) changed |= raise(&box->least[d][a], covered * box->most[d][a] / all);
        for (int k = 0; k < form->ncounts && form->joint >> k; k++)
            if (form->joint >> k & 1 && !(axes & ~form->count[k].axes)) changed |= raise(&box->low[d][k], covered * most_trips(s, form, box, d, axes) / all);
    }
    for (int a = 0; a < s->A; a++)
        if (c->axes >> a & 1) changed |= lower(&box->most[d][a], events);
    return changed;
}

/* What the counts of a dim are for the window of a term. */
static Cuts cuts_of(const Form *form, int dim, int j, const int *count) {
    Cuts one = {1, 1, 1}, cuts;
    if (dim < 0) return one;
    cuts.left = count[form[dim].of[j]];
    cuts.border = form[dim].border[j] < 0 ? 1 : count[form[dim].border[j]];
    cuts.all = larger(cuts.left, count[form[dim].all[j]]);
    return cuts;
}

/* The words of a tile with so many indices of both dims at least, of the first one, which may stand at the border. */
static double first_tile(const S *s, const Win *x, int padding, int a, int b) {
    int residues = up(b, up(inner_bound(s, x), least_residues(s, x)));
    return larger(0, residues * (a - 1.0) + b - (padding ? 0 : x->outside));
}

/* The words of a term's window, with counts of both dims: of one of so many instances, which share them. */
static double window_words(const Boxes *q, int j, int outer, const int *outer_counts, const int *inner_counts, double instances) {
    const Win *x = q->form[outer].win;
    const Term *term = &q->t->term[j];
    int inner = x->dim[1];
    if (term->kind == EVENTS) return 1;
    if (term->kind == FIRST) {
        int b = inner < 0 ? 1 : inner_counts[q->form[inner].of[j]];
        return first_tile(q->s, x, term->padding, outer_counts[q->form[outer].of[j]], b);
    }
    Cuts p = cuts_of(q->form, outer, j, outer_counts), r = cuts_of(q->form, inner, j, inner_counts);
    return words_of(q->s, x, term->padding, p, r) / instances;
}

/* Of how many instances the busiest is one, as far as a dim is spread over them. */
static double instances_of(const Boxes *q, const Box *box, int j, int d) {
    const Term *term = &q->t->term[j];
    return d < 0 || term->kind != BUSIEST ? 1 : most_trips(q->s, &q->form[d], box, d, spread(q->s, term, d));
}

/* What the window of a term has in a box at least. */
static double least_words(const Boxes *q, const Box *box, int j, int outer) {
    int inner = q->form[outer].win->dim[1];
    double instances = instances_of(q, box, j, outer) * instances_of(q, box, j, inner);
    return window_words(q, j, outer, box->low[outer], box->low[inner < 0 ? 0 : inner], instances);
}

/* What a dim makes of a term at least; of a window the outer dim answers for both. */
static double term_factor(const Boxes *q, const Box *box, int j, int d) {
    int i = q->form[d].of[j];
    if (i < 0) return 1;
    if (q->s->class[q->t->term[j].operand][d] == WINDOW) return q->form[d].inner ? 1 : least_words(q, box, j, d);
    return q->t->term[j].coefficient < 0 ? box->high[d][i] : box->low[d][i];
}

/* A factor of a term is `most` at most. */
static int limit_factor(const Boxes *q, Box *box, int j, int d, double most) {
    const Form *form = &q->form[d];
    int i = form->of[j], padding = q->t->term[j].padding, k;
    if (i < 0) return 0;
    if (q->s->class[q->t->term[j].operand][d] != WINDOW) return lower(&box->high[d][i], most) << d;
    if (form->inner || (k = form->win->dim[1]) < 0 || q->t->term[j].kind == FIRST) return 0;
    int other = q->form[k].of[j];
    most *= instances_of(q, box, j, d) * instances_of(q, box, j, k);
    Cuts cuts[2];
    most_cuts(q->s, form->win, padding, most * (1 + 1e-12), cuts_of(q->form, d, j, box->low[d]),
              cuts_of(q->form, k, j, box->low[k]), cuts);
    int changed = lower(&box->high[d][i], smaller(1e9, smaller(cuts[0].left, box->high[d][form->all[j]]))) << d;
    changed |= lower(&box->high[k][other], smaller(1e9, smaller(cuts[1].left, box->high[k][q->form[k].all[j]]))) << k;
    changed |= lower(&box->high[d][form->all[j]], smaller(1e9, cuts[0].all)) << d;
    return changed | lower(&box->high[k][q->form[k].all[j]], smaller(1e9, cuts[1].all)) << k;
}

/* The bound of a box. */
static double box_bound(Boxes *q, const Box *box) {
    double sum = q->t->constant, z[MAXJ];
    for (int j = 0; j < q->t->nterms; j++) {
        double value = q->t->term[j].coefficient;
        z[j] = 1;
        for (int d = 0; d < q->s->D; d++) {
            q->f[d][j] = term_factor(q, box, j, d);
            value *= q->f[d][j];
            z[j] *= q->f[d][j];
        }
        sum += value;
    }
    return q->s->timed ? timed_cost(q->s, q->t, q->plan->order, z) : sum;
}

/* Without trips, tiles that some loops make: of one more than these one at least is full, see docs/search.md. */
static int relate_full(const S *s, const Form *form, Box *box, int d) {
    int changed = 0, *low = box->low[d], *high = box->high[d];
    if (most_trips(s, form, box, d, form->usable) > 1) return 0;
    for (int i = 0; i < form->ncounts; i++) {
        const Count *c = &form->count[i];
        if (c->tile || c->what != DIGITS || low[i] == form->D) continue;
        int loops = c->boundary + form->extra, least = up(form->D, high[i] < form->D ? high[i] : form->D - 1);
        int most = (int)((int64_t)(loops + 1) * form->D / (loops + least));
        if (high[i] < form->D) changed |= lower(&high[i], most);
        else if (low[i] > most) changed |= raise(&low[i], form->D);
        if (low[i] > high[i]) return -1;
    }
    return changed;
}

/* Events and the tiles and trips that cover them. */
static int relate_cover(const S *s, const Form *form, Box *box, int d) {
    int changed = 0;
    for (int i = 0; i < form->ncounts; i++) {
        const Count *c = &form->count[i];
        if (c->tile || c->what == BORDER) continue;
        changed |= raise(&box->low[d][i], least_events(s, form, box, d, i));
        if (box->low[d][i] > box->high[d][i]) return -1;
        int more = need_cover(s, form, box, d, i);
        if (more < 0) return -1;
        changed |= more;
    }
    return changed;
}

/* How large each term may be for the cost. */
static void limit_terms(const Boxes *q, const double *z, double *most) {
    const S *s = q->s;
    const Setting *t = q->t;
    Times x;
    take_times(s, t, z, &x);
    double energy = energy_of(t, z), cycles = cycles_of(s, t, q->plan->order, z, &x), most_energy, most_cycles;
    if (s->timed == FRONT) {
        most_energy = q->most + least_known(s, cycles);
        most_cycles = most_wanted(s, energy + t->price * cycles);
    } else if (s->timed == PRODUCT) {
        most_energy = q->most / cycles;
        most_cycles = q->most / (energy + t->price * cycles);
    } else {
        most_energy = q->most;
        most_cycles = t->price ? (q->most - energy) / t->price : INFINITY;
    }
    most_energy -= t->price * cycles;
    for (int j = 0; j < t->nterms; j++) {
        double c = t->term[j].coefficient;
        most[j] = c ? z[j] + (most_energy - energy) / c : INFINITY;
    }
    most[t->compute] = smaller(most[t->compute], most_cycles - x.compute + z[t->compute]);
    for (int i = 0; i < t->nworks; i++)
        for (int l = 0; l < t->work[i].n; l++) {
            const Load *load = &t->work[i].load[l];
            double took = most_cycles - x.port[load->port] + x.took[i][l];
            if (load->back >= 0) continue;
            if (t->work[i].kind == STOPS && !load->ahead) took = smaller(took, most_cycles - x.compute + x.stop[i]);
            most[load->words] = smaller(most[load->words], (took + load->less) / load->each);
        }
}

static int relate_timed_cost(Boxes *q, Box *box) {
    double z[MAXJ], most[MAXJ];
    int changed = 0;
    for (int j = 0; j < q->t->nterms; j++) {
        z[j] = 1;
        for (int d = 0; d < q->s->D; d++) z[j] *= q->f[d][j];
    }
    limit_terms(q, z, most);
    for (int j = 0; j < q->t->nterms; j++)
        for (int d = 0; d < q->s->D && most[j] < INFINITY; d++)
            changed |= limit_factor(q, box, j, d, most[j] * q->f[d][j] / z[j] * (1 + 1e-9));
    return changed;
}

/* Events few enough for the cost. */
static int relate_cost(Boxes *q, Box *box, double *bound) {
    int changed = 0;
    *bound = box_bound(q, box);
    if (*bound > q->most) return -1;
    if (q->s->timed) return relate_timed_cost(q, box);
    for (int j = 0; j < q->t->nterms; j++) {
        double value = q->t->term[j].coefficient;
        if (value < 0) continue;
        for (int d = 0; d < q->s->D; d++) value *= q->f[d][j];
        for (int d = 0; d < q->s->D; d++)
            changed |= limit_factor(q, box, j, d, (q->most - *bound + value) * q->f[d][j] / value);
    }
    return changed;
}

/* Tightens what a dim has in a box; returns whether anything is left. */
static int propagate_dim(const Boxes *q, Box *box, int d) {
    const Form *form = &q->form[d];
    for (int changed = 1, more; changed;) {
        changed = more = relate_tiles(q->s, form, box, d);
        if (more >= 0) changed |= more = relate_events(q->s, form, box, d);
        if (more >= 0) changed |= more = relate_cover(q->s, form, box, d);
        if (more >= 0) changed |= more = relate_full(q->s, form, box, d);
        if (more >= 0 && form->win) changed |= more = relate_residues(q->s, form, box, d);
        if (more >= 0 && form->win) changed |= more = relate_words(q->s, form, box, d);
        if (more < 0) return 0;
        for (int a = 0; a < q->s->A; a++)
            if (box->least[d][a] > box->most[d][a]) return 0;
    }
    return 1;
}

/* Tightens a box in which the dims given have changed, as far as it goes; returns its bound, infinite if nothing is left. */
static double propagate(Boxes *q, Box *box, int changed) {
    double bound = 0;
    while (changed) {
        for (int d = 0; d < q->s->D; d++)
            if (changed >> d & 1 && !propagate_dim(q, box, d)) return INFINITY;
        int more = relate_capacities(q, box);
        changed = more;
        if (more >= 0) changed |= more = relate_mesh(q, box);
        if (more >= 0) changed |= more = relate_cost(q, box, &bound);
        if (more < 0) return INFINITY;
    }
    return bound;
}

/* ---- plans: a placement, and the forms of the dims in it ---- */

static int same_plan(const S *s, const Plan *x, const Plan *y) {
    if (s->timed && memcmp(x->order, y->order, sizeof x->order)) return 0;
    return x->setting == y->setting && !memcmp(x->form, y->form, sizeof(Form) * s->D);
}

static void add_plan(S *s, Plan plan) {
    const Setting *t = &s->setting[plan.setting];
    plan.form = malloc(sizeof(Form) * s->D);
    plan.number = s->nplans;
    Boxes q = {s, t, &plan, plan.form, s->best, {{0}}, INFINITY};
    Box box;
    for (int d = 0; d < s->D; d++) make_form(s, t, &plan, d, &plan.form[d]);
    for (int d = 0; d < s->D; d++)
        if (plan.form[d].overflow) {
            s->partial = 1;
            free(plan.form);
            return;
        }
    whole_box(s, plan.form, &box);
    plan.bound = propagate(&q, &box, (1 << s->D) - 1);
    int known = plan.bound == INFINITY;
    for (int i = 0; i < s->nplans && !known; i++) known = same_plan(s, &s->plan[i], &plan);
    if (known) {
        s->discarded[plan.bound == INFINITY ? LARGE : ALIKE]++;
        free(plan.form);
        return;
    }
    plan.known = calloc(s->D, sizeof(Rows));
    if (s->nplans == s->cplans) s->plan = realloc(s->plan, sizeof(Plan) * (s->cplans = 2 * s->cplans + 64));
    s->plan[s->nplans++] = plan;
}

/* Whether windows further out sweep along the same loops as one at position `at`, if these reach past their marks. */
static int agree(const Setting *t, const Plan *plan, int dim, int start, int at) {
    for (int i = start; i < at; i++) {
        int mark = plan->order[i];
        if (slides(t, mark) && (plan->sweeps.dim[mark] != dim + 1 || plan->sweeps.start[mark] != start)) return 0;
    }
    return 1;
}

/* A plan for each choice of the dims that sweep at the marks from position `at` on. */
static void choose_sweeps(S *s, Plan *plan, int at) {
    const Setting *t = &s->setting[plan->setting];
    while (at < t->nmarks && !slides(t, plan->order[at])) at++;
    if (at == t->nmarks || ticked(s, 8)) {
        if (at == t->nmarks) add_plan(s, *plan);
        else s->partial = 1;
        return;
    }
    int mark = plan->order[at];
    choose_sweeps(s, plan, at + 1);
    for (int d = 0; d < s->D; d++) {
        if (s->class[t->operand[mark]][d] != WINDOW || s->gdims[s->group[d]] < 2) continue;
        for (int start = at; start >= 0; start--) {
            if (start < at && s->class[t->operand[plan->order[start]]][d] == IRRELEVANT) continue;
            if (!agree(t, plan, d, start, at)) continue;
            plan->sweeps.dim[mark] = d + 1;
            plan->sweeps.start[mark] = start;
            choose_sweeps(s, plan, at + 1);
        }
    }
    plan->sweeps.dim[mark] = 0;
}

static void add_plans(S *s, int setting, const int *order) {
    Plan plan;
    memset(&plan, 0, sizeof plan);
    plan.setting = setting;
    memcpy(plan.order, order, sizeof plan.order);
    choose_sweeps(s, &plan, 0);
}
