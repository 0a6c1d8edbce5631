/* ---- nests without windows, steps of any size: what there is to choose ----
 *
 * Every count of a plain dim follows from its own loops. A form says which counts a placement needs of a dim; a box says
 * within what limits its tiles and its trips on the axes are looked for.
 */

typedef struct {
    int tile;     /* of a tile: digits inside the boundary and on axes that are not fixed; else of events */
    int boundary; /* slots outside */
    int axes;     /* fixed (of a tile) or counted (of events), as bits */
} Count;

typedef struct {
    int D, K, dim, extra;         /* its bound, slots, and loops that may stand beside another of their slot */
    int usable;                   /* axes, as bits */
    int overflow;                 /* there are more counts than there is room for */
    Slots slots;
    int ncounts, of[MAXJ + MAXM]; /* which count each factor is, or -1: one */
    Count count[MAXV];
} Form;

typedef struct {
    int low[MAXD][MAXV], high[MAXD][MAXV];     /* by count */
    int least[MAXD][MAXA], most[MAXD][MAXA];   /* trips */
} Box;

typedef struct Plan {
    int setting, order[MAXM];
    Form *form; /* by dim */
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

static int up(int64_t n, int64_t d) { return (int)((n + d - 1) / d); }

static int add_count(Form *form, int usable, Count c) {
    c.axes &= usable;
    int i = 0;
    while (i < form->ncounts && memcmp(&form->count[i], &c, sizeof c)) i++;
    if (i == MAXV) form->overflow = 1;
    else if (i == form->ncounts) form->count[form->ncounts++] = c;
    return i == MAXV ? -1 : i;
}

static void make_form(const S *s, const Setting *t, const int *order, int dim, Form *form) {
    memset(form, 0, sizeof *form);
    slots_of(s, t, order, dim, 1, &form->slots);
    form->dim = dim;
    form->D = s->bound[dim];
    form->K = form->slots.nslots;
    form->extra = s->F;
    for (int a = 0; a < s->A; a++)
        if (s->size[a] > 1 && s->allowed[a] >> dim & 1) form->usable |= 1 << a;
    for (int j = 0; j < t->nterms; j++) {
        const Term *x = &t->term[j];
        int b = x->mark < 0 ? form->K : form->slots.outside[x->mark], own = spread(s, x, dim);
        Count events = {0, x->kind == FIRST ? 0 : b, x->irr}, tile = {1, x->kind == FIRST ? b : 0, own};
        form->of[j] = -1;
        if (s->class[x->operand][dim] == IRRELEVANT) {
            if (x->kind != FIRST || x->irr & form->usable) form->of[j] = add_count(form, form->usable, events);
        } else if (x->kind == FIRST || (x->kind == BUSIEST && own))
            form->of[j] = add_count(form, form->usable, tile);
    }
    for (int m = 0; m < t->nmarks; m++) {
        int relevant = s->class[t->operand[m]][dim] != IRRELEVANT;
        Count c = {1, form->slots.outside[m], t->fixed[m]};
        form->of[t->nterms + m] = relevant ? add_count(form, form->usable, c) : -1;
        form->extra += !relevant;
    }
}

static void whole_box(const S *s, const Form *form, Box *box) {
    for (int d = 0; d < s->D; d++) {
        for (int i = 0; i < form[d].ncounts; i++) box->low[d][i] = 1, box->high[d][i] = form[d].D;
        for (int a = 0; a < s->A; a++) {
            int most = s->size[a] < form[d].D ? s->size[a] : form[d].D;
            box->least[d][a] = 1;
            box->most[d][a] = form[d].usable >> a & 1 ? most : 1;
        }
    }
}

static double most_trips(const S *s, const Box *box, int d, int axes) {
    double n = 1;
    for (int a = 0; a < s->A; a++)
        if (axes >> a & 1) n *= box->most[d][a];
    return n;
}

/* ---- propagation: limits that follow from others ---- */

static int raise(int *value, double to) {
    if (to <= *value) return 0;
    *value = (int)fmin(ceil(to), 1 << 30);
    return 1;
}

static int lower(int *value, double to) {
    if (to >= *value) return 0;
    *value = (int)fmax(floor(to), 0);
    return 1;
}

/* The axes over which a tile must be counted to cover what one of the events does not tell apart, or -1. */
static int cover(const Count *tile, const Count *events) {
    return tile->tile && tile->boundary <= events->boundary ? tile->axes & ~events->axes : -1;
}

/* What a count of events is at least: each covers no more indices than a tile. */
static double least_events(const S *s, const Form *form, const Box *box, int d, const Count *c) {
    double covered = form->D, least = 1;
    if (c->boundary == form->K) covered = fmin(covered, most_trips(s, box, d, form->usable & ~c->axes));
    for (int i = 0; i < form->ncounts; i++) {
        int axes = cover(&form->count[i], c);
        if (axes >= 0) covered = fmin(covered, box->high[d][i] * most_trips(s, box, d, axes));
    }
    for (int a = 0; a < s->A; a++)
        if (c->axes >> a & 1) least = fmax(least, box->least[d][a]);
    return fmax(least, ceil(form->D / covered));
}

/* Tiles within tiles. */
static int relate_tiles(const S *s, const Form *form, Box *box, int d) {
    int changed = 0, *low = box->low[d], *high = box->high[d];
    for (int i = 0; i < form->ncounts; i++) {
        const Count *x = &form->count[i];
        if (!x->tile) continue;
        if (!x->boundary) changed |= raise(&low[i], form->D / most_trips(s, box, d, x->axes));
        for (int a = 0; a < s->A; a++)
            if (form->usable & ~x->axes & 1 << a) {
                changed |= raise(&low[i], box->least[d][a]);
                changed |= lower(&box->most[d][a], high[i]);
            }
        for (int k = 0; k < form->ncounts; k++) {
            const Count *y = &form->count[k];
            if (k == i || !y->tile) continue;
            if (y->boundary > x->boundary) continue; /* x is inside y, but for axes fixed for y alone */
            double n = most_trips(s, box, d, y->axes & ~x->axes);
            changed |= lower(&high[i], high[k] * n);
            changed |= raise(&low[k], low[i] / n);
        }
        if (low[i] > high[i]) return -1;
    }
    return changed;
}

/* Events within events. */
static int relate_events(const S *s, const Form *form, Box *box, int d) {
    int changed = 0, *low = box->low[d], *high = box->high[d];
    for (int i = 0; i < form->ncounts; i++) {
        const Count *x = &form->count[i];
        for (int k = 0; k < form->ncounts && !x->tile; k++) {
            const Count *y = &form->count[k];
            if (k == i || y->tile || x->boundary > y->boundary) continue; /* all loops of x, but for axes, are of y */
            double n = most_trips(s, box, d, x->axes & ~y->axes);
            changed |= raise(&low[k], low[i] / n);
            changed |= lower(&high[i], high[k] * n);
        }
        if (low[i] > high[i]) return -1;
    }
    return changed;
}

/* Tiles within capacities; returns -1 if the least ones are too large. */
static int relate_capacities(const Boxes *q, Box *box) {
    const Setting *t = q->t;
    int changed = 0, D = q->s->D, J = t->nterms;
    for (int k = 0; k < t->ncaps; k++) {
        double words[MAXM], sum = 0;
        for (int m = 0; m < t->nmarks; m++) {
            if (!(t->held[k] >> m & 1)) continue;
            words[m] = t->weight[m];
            for (int d = 0; d < D; d++)
                if (q->form[d].of[J + m] >= 0) words[m] *= box->low[d][q->form[d].of[J + m]];
            sum += words[m];
        }
        if (sum > t->limit[k]) return -1;
        for (int m = 0; m < t->nmarks; m++)
            for (int d = 0; d < D && t->held[k] >> m & 1; d++) {
                int i = q->form[d].of[J + m];
                if (i >= 0) changed |= lower(&box->high[d][i], (t->limit[k] - sum + words[m]) * box->low[d][i] / words[m]);
            }
    }
    return changed;
}

static int relate_mesh(const Boxes *q, Box *box) {
    int changed = 0;
    for (int a = 0; a < q->s->A; a++) {
        double n = 1;
        for (int d = 0; d < q->s->D; d++) n *= box->least[d][a];
        if (n > q->s->size[a]) return -1;
        for (int d = 0; d < q->s->D; d++) changed |= lower(&box->most[d][a], q->s->size[a] * box->least[d][a] / n);
    }
    return changed;
}

/* Events must be few enough, so tiles and trips large enough. */
static int need_cover(const S *s, const Form *form, Box *box, int d, const Count *c, double events) {
    double covered = ceil(form->D / events);
    int changed = 0;
    for (int i = 0; i <= form->ncounts; i++) {
        int last = i == form->ncounts, axes = last ? form->usable & ~c->axes : cover(&form->count[i], c);
        if (last ? c->boundary != form->K : axes < 0) continue;
        double all = most_trips(s, box, d, axes) * (last ? 1 : box->high[d][i]);
        if (all < covered) return -1;
        if (!last) changed |= raise(&box->low[d][i], covered * box->high[d][i] / all);
        for (int a = 0; a < s->A; a++)
            if (axes >> a & 1) changed |= raise(&box->least[d][a], covered * box->most[d][a] / all);
    }
    for (int a = 0; a < s->A; a++)
        if (c->axes >> a & 1) changed |= lower(&box->most[d][a], events);
    return changed;
}

/* The bound of a box. */
static double box_bound(Boxes *q, const Box *box) {
    double sum = q->t->constant, z[MAXJ];
    for (int j = 0; j < q->t->nterms; j++) {
        double value = q->t->term[j].coefficient;
        z[j] = 1;
        for (int d = 0; d < q->s->D; d++) {
            int i = q->form[d].of[j];
            q->f[d][j] = i < 0 ? 1 : value < 0 ? box->high[d][i] : box->low[d][i];
            value *= q->f[d][j];
            z[j] *= q->f[d][j];
        }
        sum += value;
    }
    return q->s->timed ? timed_cost(q->s, q->t, q->plan->order, z) : sum;
}

/* Events and the tiles and trips that cover them. */
static int relate_cover(const S *s, const Form *form, Box *box, int d) {
    int changed = 0;
    for (int i = 0; i < form->ncounts; i++) {
        const Count *c = &form->count[i];
        if (c->tile) continue;
        changed |= raise(&box->low[d][i], least_events(s, form, box, d, c));
        if (box->low[d][i] > box->high[d][i]) return -1;
        int more = need_cover(s, form, box, d, c, box->high[d][i]);
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
    most[t->compute] = fmin(most[t->compute], most_cycles - x.compute + z[t->compute]);
    for (int i = 0; i < t->nworks; i++)
        for (int l = 0; l < t->work[i].n; l++) {
            const Load *load = &t->work[i].load[l];
            double took = most_cycles - x.port[load->port] + x.took[i][l];
            if (load->back >= 0) continue;
            if (t->work[i].kind == STOPS && !load->ahead) took = fmin(took, most_cycles - x.compute + x.stop[i]);
            most[load->words] = fmin(most[load->words], (took + load->less) / load->each);
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
        for (int d = 0; d < q->s->D && most[j] < INFINITY; d++) {
            int i = q->form[d].of[j];
            if (i >= 0) changed |= lower(&box->high[d][i], most[j] * q->f[d][j] / z[j] * (1 + 1e-9));
        }
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
        for (int d = 0; d < q->s->D; d++) {
            int i = q->form[d].of[j];
            if (i >= 0) changed |= lower(&box->high[d][i], (q->most - *bound + value) * q->f[d][j] / value);
        }
    }
    return changed;
}

/* Tightens a box as far as it goes; returns its bound, infinite if nothing is left. */
static double propagate(Boxes *q, Box *box) {
    double bound = 0;
    for (int changed = 1; changed;) {
        int more = relate_capacities(q, box);
        changed = more;
        if (more >= 0) more = relate_mesh(q, box), changed |= more;
        for (int d = 0; d < q->s->D && more >= 0; d++) more = relate_tiles(q->s, &q->form[d], box, d), changed |= more;
        for (int d = 0; d < q->s->D && more >= 0; d++) more = relate_events(q->s, &q->form[d], box, d), changed |= more;
        for (int d = 0; d < q->s->D && more >= 0; d++) more = relate_cover(q->s, &q->form[d], box, d), changed |= more;
        if (more >= 0) more = relate_cost(q, box, &bound), changed |= more;
        if (more < 0) return INFINITY;
        for (int d = 0; d < q->s->D; d++)
            for (int a = 0; a < q->s->A; a++)
                if (box->least[d][a] > box->most[d][a]) return INFINITY;
    }
    return bound;
}

/* ---- plans: a placement, and the forms of the dims in it ---- */

static int same_plan(const S *s, const Plan *x, const Plan *y) {
    if (s->timed && memcmp(x->order, y->order, sizeof x->order)) return 0;
    return x->setting == y->setting && !memcmp(x->form, y->form, sizeof(Form) * s->D);
}

static void add_plan(S *s, int setting, const int *order) {
    const Setting *t = &s->setting[setting];
    Plan plan = {setting, {0}, malloc(sizeof(Form) * s->D), 0, s->nplans};
    Boxes q = {s, t, &plan, plan.form, s->best, {{0}}, INFINITY};
    Box box;
    memcpy(plan.order, order, sizeof plan.order);
    for (int d = 0; d < s->D; d++) make_form(s, t, order, d, &plan.form[d]);
    whole_box(s, plan.form, &box);
    plan.bound = propagate(&q, &box);
    for (int d = 0; d < s->D; d++) s->partial |= plan.form[d].overflow;
    int known = plan.bound == INFINITY;
    for (int i = 0; i < s->nplans && !known; i++) known = same_plan(s, &s->plan[i], &plan);
    if (known) {
        s->discarded[plan.bound == INFINITY ? LARGE : ALIKE]++;
        free(plan.form);
        return;
    }
    if (s->nplans == s->cplans) s->plan = realloc(s->plan, sizeof(Plan) * (s->cplans = 2 * s->cplans + 64));
    s->plan[s->nplans++] = plan;
}
