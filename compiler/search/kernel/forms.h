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

/* Events x and y, each of which tells apart what the other does not; both tell apart what `common` does, which are events, too, or
 * -1: one. Together they tell apart what loops outside the boundary and on the axes do.
 */
typedef struct {
    short x, y, common, boundary, axes;
} Crossing;

typedef struct {
    int D, K, dim, extra;         /* its bound, slots, and loops that may stand beside another of their slot */
    int usable;                   /* axes, as bits */
    int overflow;                 /* there are more counts than there is room for */
    Slots slots;
    int room[MAXS];               /* by slot: loops that marks irrelevant to the dim may have separated */
    int ncounts;
    short of[MAXJ + MAXM];        /* which count each factor is, or -1: one */
    short all[MAXJ];              /* which count is that of all pieces, or residues, if a sweep leaves less of them; or -1 */
    short residues[MAXM];         /* which count is that of the residues in the tile of each mark */
    short border[MAXJ];           /* which count says what a tile at the border has outside, or -1 */
    short runs[MAXM];             /* and that of its runs, or -1 */
    short words[MAXM], fewer[MAXM], apart[MAXM]; /* and which those of the words of the largest tile, or -1 if no padding is free; see borders.h */
    const Win *win;               /* of dims that a window couples, and whether this is the inner one */
    int inner;
    int shared;                   /* axes over which instances share the words of a window: more trips, less for the busiest */
    unsigned must;                /* slots that need a loop: there sweeps begin */
    uint64_t joint;               /* counts of the digits of several axes alone */
    unsigned several;             /* counts that are two at least: such a loop is outside */
    Count count[MAXV];
    int ntiles, nevents, ncovers; /* from here on all follows from the counts */
    Relation *tiles, *events;     /* of tiles to those around them, of events to those further in */
    Relation *covers;             /* of events to tiles that cover them */
    short covered[MAXV + 1];      /* the first of these of each count */
    int ncrossings;
    Crossing *crossings;
} Form;

/* Room for the relations of a form. */
typedef struct {
    Relation tiles[MAXR], events[MAXR], covers[MAXR];
    Crossing crossings[MAXR];
} Relations;

typedef struct {
    int low[MAXD][MAXV], high[MAXD][MAXV];     /* by count */
    int least[MAXD][MAXA], most[MAXD][MAXA];   /* trips */
} Box;

/* Where a box is cut: a count of a dim, or after these the trips on an axis, is `at` at most, or more. */
typedef struct {
    int dim, i, at;
} Cut;

static int *low_of(const Form *form, Box *box, int d, int i) { return i < form->ncounts ? &box->low[d][i] : &box->least[d][i - form->ncounts]; }

static int *high_of(const Form *form, Box *box, int d, int i) { return i < form->ncounts ? &box->high[d][i] : &box->most[d][i - form->ncounts]; }

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
    int tied;           /* the count that ties the dims of two windows that are just alike, or -1; see mirrors.h */
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

static int is_events(const Count *c) { return !c->tile && c->what == DIGITS; }

/* Whether events are told apart by others, too. */
static int is_within(const Count *x, const Count *y) { return x->boundary <= y->boundary && !(x->axes & ~y->axes); }

/* Crossings of two counts: what is common to them is what no other count within both has more of. */
static void cross(Form *form, int i, int k) {
    const Count *x = &form->count[i], *y = &form->count[k];
    if (!is_events(x) || !is_events(y) || is_within(x, y) || is_within(y, x)) return;
    Crossing new = {(short)i, (short)k, -1, (short)most_of(x->boundary, y->boundary), (short)(x->axes | y->axes)};
    for (int c = -1; c < form->ncounts; c++) {
        const Count *z = c < 0 ? NULL : &form->count[c];
        if (z && (!is_events(z) || !is_within(z, x) || !is_within(z, y))) continue;
        new.common = (short)c;
        if (form->ncrossings == MAXR) form->overflow = 1;
        else form->crossings[form->ncrossings++] = new;
    }
}

static void relate(Form *form) {
    for (int i = 0; i < form->ncounts; i++)
        for (int k = 0; k < i; k++) cross(form, i, k);
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

static void make_form(const S *s, const Setting *t, const Plan *plan, int dim, Form *form, Relations *room) {
    const int *order = plan->order;
    memset(form, 0, sizeof *form);
    form->tiles = room->tiles, form->events = room->events, form->covers = room->covers, form->crossings = room->crossings;
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
        Count c = {1, b, t->fixed[m], DIGITS, b, 0}, residues = {1, b, t->fixed[m], RESIDUES, b, 0}, words = {1, b, t->fixed[m], WORDS, b, 0}, fewer = words, apart = words;
        form->of[t->nterms + m] = relevant ? add_count(form, form->usable, c) : -1;
        form->residues[m] = kind == WINDOW && form->inner ? add_count(form, form->usable, residues) : -1;
        Count runs = {1, b, t->fixed[m], RUNS, b, 0};
        form->runs[m] = kind == WINDOW && !form->inner && !s->timed && form->win->dim[1] >= 0 ? add_count(form, form->usable, runs) : -1;
        int border = kind == WINDOW && !form->inner && !t->padded[m] && form->win->outside;
        fewer.what = FEWER, apart.what = APART;
        form->words[m] = border ? add_count(form, form->usable, words) : -1;
        form->fewer[m] = border && form->win->inner > form->win->alike + form->win->both ? add_count(form, form->usable, fewer) : -1;
        form->apart[m] = border && form->runs[m] >= 0 ? add_count(form, form->usable, apart) : -1;
        form->extra += !relevant;
    }
    for (int i = 0; i < form->ncounts; i++) {
        const Count *x = &form->count[i];
        if (!x->tile && x->what == DIGITS && !x->boundary && x->axes & (x->axes - 1)) form->joint |= (uint64_t)1 << i;
    }
    relate(form);
}

static void whole_box(const S *s, const Form *form, Box *box) {
    memset(box, 0, sizeof *box); /* boxes are compared as a whole, see by_lateness */
    for (int d = 0; d < s->D; d++) {
        for (int i = 0; i < form[d].ncounts; i++) {
            box->low[d][i] = 1 + (i < 32 && form[d].several >> i & 1);
            int what = form[d].count[i].what;
            box->high[d][i] = what == BORDER ? form[d].win->outside + 1 : what >= APART ? most_of((int)form[d].win->touched[0], 1) : form[d].D;
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
