/* ---- a good schedule of the whole space, without proof: walks from each schedule to one nearby, which may cost a little more ----
 *
 * By how much is up to a threshold, which falls to nothing (Dueck and Scheuer, "Threshold accepting", J. Comp. Physics 90, 1990).
 * What a schedule costs is computed as for a single one, see settled.h; the judge has the last word on the best of each walk.
 */

enum { PENALTY = 100, STEP_OF_WALK = 10, MOST_LOOKED_AT = 1000 }; /* the work that a step takes, in chains looked at; plans, for one that is near */

/* Walks of so many steps, the threshold being a part of the cost at first, until so much of the budget is spent. */
typedef struct {
    int steps;
    double threshold, until;
} Pace;

/* From nowhere in particular; from the best of these; from the schedule that is known, then from the best that was found from there. */
static const Pace PACES[] = {{10000, 0.1, 0.4}, {20000, 0.06, 0.7}, {20000, 0.015, 1}};

/* The loops of a dim, inside out, as in a chain. */
typedef struct {
    int n, station[MAXL], step[MAXL];
} Loops;

typedef struct {
    const Plan *plan;
    double value;
    Loops dim[MAXD];
} Site;

typedef struct {
    Boxes q;
    Join join;
    Site at, best;
    uint64_t random;
    double slowest;      /* iterations at most; 0: any number */
    double terms[WIDTH]; /* of the site at hand; tiles and trips */
} Walk;

/* A number below `n`: Marsaglia, "Xorshift RNGs", J. Stat. Software 8, 2003. */
static int any(Walk *w, int n) {
    uint64_t x = w->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    w->random = x;
    return (int)((x >> 33) % (uint64_t)n);
}

/* ---- the loops of a dim ---- */

static int trips_of_loop(const Loops *x, int i, int D) { return up(i + 1 < x->n ? x->step[i + 1] : D, x->step[i]); }

/* Leaves out loops without trips, and joins those that stand side by side in one slot; whether those that are left may stand so. */
static int tidy(Loops *x, int D) {
    int n = 0, slot = MAXS, axes = 0;
    for (int i = 0; i < x->n; i++) {
        if (x->step[i] >= (i + 1 < x->n ? x->step[i + 1] : D)) continue;
        if (n && x->station[i] < AXIS && x->station[n - 1] == x->station[i]) continue; /* the one inside takes its trips */
        x->station[n] = x->station[i];
        x->step[n++] = x->step[i];
    }
    x->n = n;
    for (int i = 0; i < n; i++) {
        int axis = x->station[i] - AXIS;
        if (axis >= 0 ? axes >> axis & 1 : x->station[i] > slot) return 0;
        if (axis >= 0) axes |= 1 << axis;
        else slot = x->station[i];
    }
    return n && x->step[0] == 1;
}

/* Steps from trips, inside out; what these leave of the dim is a loop outside all others. */
static void set_trips(Loops *x, const int *trips, int D) {
    int64_t step = 1;
    for (int i = 0; i < x->n; i++) {
        x->step[i] = (int)(step < D ? step : D);
        step = x->step[i] * (int64_t)trips[i];
    }
    if (step >= D || x->n == MAXL) return;
    x->station[x->n] = 0;
    x->step[x->n++] = (int)step;
}

/* Another number of trips: one more or less, some times as many or few, any. */
static int other_trips(Walk *w, int trips, int D) {
    int how = any(w, 6), times = 2 + any(w, 3);
    if (how < 2) return trips + 1;
    if (how < 3) return most_of(trips - 1, 1);
    if (how < 4) return (int)smaller(D, (double)trips * times);
    if (how < 5) return up(trips, times);
    return 1 + any(w, D);
}

/* Where a loop of a dim may stand: a slot, or an axis. */
static int any_station(Walk *w, const Form *form) {
    int axes[MAXA], n = 0;
    for (int a = 0; a < w->q.s->A; a++)
        if (form->usable >> a & 1) axes[n++] = a;
    int i = any(w, form->K + n);
    return i < form->K ? i : AXIS + axes[i - form->K];
}

/* Puts a loop with some trips somewhere, which one of the others may lose. */
static void insert_loop(Walk *w, Loops *x, int *trips, const Form *form) {
    if (x->n == MAXL) return;
    int at = any(w, x->n + 1), times = 2 + any(w, any(w, 2) ? 3 : form->D), less = any(w, x->n);
    if (any(w, 3)) trips[less] = up(trips[less], times);
    for (int k = x->n++; k > at; k--) x->station[k] = x->station[k - 1], trips[k] = trips[k - 1];
    x->station[at] = any_station(w, form);
    trips[at] = times;
}

/* Changes the loops of a dim a little. */
static void change_loops(Walk *w, Loops *x, const Form *form) {
    int trips[MAXL + 1], how = any(w, 8), i = any(w, x->n), k = any(w, x->n), D = form->D;
    for (int l = 0; l < x->n; l++) trips[l] = trips_of_loop(x, l, D);
    if (how == 0) { /* another step, whatever that makes of trips */
        int below = i ? x->step[i - 1] : 0, above = i + 1 < x->n ? x->step[i + 1] : D;
        if (i && above - below > 1) x->step[i] = below + 1 + any(w, above - below - 1);
        return;
    }
    if (how == 1) {
        x->station[i] = any_station(w, form);
        return;
    }
    if (how <= 3) insert_loop(w, x, trips, form);
    else if (how == 4) trips[i] = 1;
    else if (how <= 6) trips[i] = other_trips(w, trips[i], D);
    else { /* from one to another */
        int times = 2 + any(w, 3);
        trips[i] = up(trips[i], times);
        trips[k] *= times;
    }
    set_trips(x, trips, D);
}

/* ---- a site: a plan, and loops of each dim ---- */

/* The slots next to the fan-outs, on either side; whether the pars of each stand together. */
static int place_pars(const S *s, const Loops *x, int K, int *place) {
    for (int f = 0; f < s->F; f++) {
        int *outside = &place[2 * f], *inside = &place[2 * f + 1], pars = 0;
        *outside = -1, *inside = K;
        for (int i = 0; i < x->n; i++) {
            int slot = x->station[i] < AXIS, own = !slot && s->fanaxes[f] >> (x->station[i] - AXIS) & 1;
            if (own && pars && (x->station[i - 1] < AXIS || !(s->fanaxes[f] >> (x->station[i - 1] - AXIS) & 1))) return 0;
            if (own) pars = 1;
            if (slot && !pars) *inside = x->station[i];
            if (slot && pars && *outside < 0) *outside = x->station[i];
        }
        if (!pars) *outside = -1, *inside = K;
    }
    return 1;
}

/* What the loops of a dim make of its counts, as a row; whether the plan has such loops. */
static int describe(Walk *w, const Site *p, int d) {
    const S *s = w->q.s;
    const Form *form = &w->q.form[d];
    const Loops *x = &p->dim[d];
    Chain chain = {form->D, x->n, x->station, x->step};
    Rows *rows = &w->join.rows[d];
    int *row = rows->value, *trips = row + form->ncounts, *place = trips + s->A, *loops = place + 2 * MAXF;
    unsigned slots = 0;
    rows->width = form->ncounts + s->A + 2 * MAXF + 1 + MAXL;
    for (int a = 0; a < s->A; a++) trips[a] = 1;
    for (int i = 0; i < x->n; i++) {
        if (x->station[i] >= AXIS) trips[x->station[i] - AXIS] = trips_of_loop(x, i, form->D);
        else slots |= 1u << x->station[i];
        loops[x->n - i] = x->step[i] * 64 + x->station[i];
    }
    loops[0] = x->n;
    if (form->must & ~slots || !place_pars(s, x, form->K, place)) return 0;
    for (int i = 0; i < form->ncounts; i++) {
        row[i] = count_of(form, &chain, &form->count[i]);
        if (i < 32 && form->several >> i & 1 && row[i] < 2) return 0;
    }
    w->join.now[d] = row;
    w->join.place[d][0] = places_of(&w->join, d, 0);
    return 1;
}

/* What is too slow seems to cost more, the slower the more: always more than what is fast enough. */
static double penalty(const Walk *w, const double *x) {
    double slower = w->slowest ? x[w->q.t->compute] / w->slowest : 1;
    return slower > 1 ? PENALTY * slower * slower : 1;
}

/* What the schedule costs whose dims were described, infinite if it does not fit. */
static double cost_of_site(Walk *w) {
    S *s = w->q.s;
    const Setting *t = w->q.t;
    double one[WIDTH], *x = w->terms, z[MAXJ];
    uint64_t places = ~(uint64_t)0;
    for (int d = 0; d < s->D; d++) places &= w->join.place[d][0];
    if (!placeable(&w->join, places)) return INFINITY;
    for (int k = 0; k < w->join.n; k++) one[k] = x[k] = 1;
    for (int d = 0; d < s->D; d++) {
        double y[WIDTH];
        row_factors(&w->join, d, 0, y);
        for (int k = 0; k < w->join.n; k++) x[k] *= y[k];
    }
    if (!join_fits(&w->join, x, one)) return INFINITY;
    if (!s->timed) return penalty(w, x) * join_cost(&w->join, x, one, one);
    for (int j = 0; j < t->nterms; j++)
        if (t->term[j].kind == BETWEEN) x[j] /= x[t->events[t->term[j].own]];
    for (int j = 0; j < t->nterms; j++) z[j] = x[j] * windows_of(&w->join, j);
    Times times;
    take_times(s, t, w->q.plan->order, z, &times);
    double cycles = larger(cycles_of(s, t, w->q.plan->order, z, &times), settled_cycles(s, t, w->q.plan->order, z, &times));
    return combined(s, t, energy_of(t, z), cycles);
}

/* Goes to a site, from one that differs in some dims; what it costs there, infinite if that cannot be. */
static double go_to(Walk *w, const Site *p, int changed) {
    S *s = w->q.s;
    if (p->plan != w->q.plan) {
        w->q.plan = p->plan, w->q.form = p->plan->form, w->q.t = &s->setting[p->plan->setting];
        w->join.n = w->q.t->nterms + w->q.t->nmarks + s->A;
        place_marks(&s->setting[p->plan->setting], p->plan->order);
    }
    for (int d = 0; d < s->D; d++)
        if (changed >> d & 1 && !describe(w, p, d)) return INFINITY;
    return cost_of_site(w);
}

/* Whether the plans differ by little: marks that change places with their neighbours, sweeps. */
static int near(const S *s, const Plan *x, const Plan *y) {
    int moved = 0;
    if (x->setting != y->setting) return 0;
    for (int i = 0; i < s->setting[x->setting].nmarks; i++) moved += x->order[i] != y->order[i];
    return moved <= 2;
}

/* The slot of a dim for a loop in a segment: the loop moves inward to it. */
static int slot_for(const Slots *slots, int segment) {
    int slot = 0;
    while (slot + 1 < slots->nslots && slots->segment[slot] < segment) slot++;
    return slot;
}

/* Another plan, near this one but for one time in eight; the loops as far as possible where they were. */
static void change_plan(Walk *w, Site *p) {
    const S *s = w->q.s;
    const Plan *old = p->plan, *new = &s->plan[any(w, s->nplans)];
    for (int i = any(w, 8) ? MOST_LOOKED_AT : 0; i > 0 && !near(s, old, new); i--) new = &s->plan[any(w, s->nplans)];
    p->plan = new;
    for (int d = 0; d < s->D; d++) {
        for (int i = 0; i < p->dim[d].n; i++) {
            int *station = &p->dim[d].station[i];
            if (*station < AXIS) *station = slot_for(&new->form[d].slots, old->form[d].slots.segment[*station]);
        }
        tidy(&p->dim[d], s->bound[d]);
    }
}

/* Changes a site a little; in which dims, as bits, 0 if that cannot be. */
static int change(Walk *w, Site *p) {
    const S *s = w->q.s;
    int changed = 0;
    if (!any(w, 8)) {
        change_plan(w, p);
        return (1 << s->D) - 1;
    }
    for (int n = any(w, 3) ? 1 : 2; n > 0; n--) {
        int d = any(w, s->D);
        if (s->bound[d] == 1) continue;
        change_loops(w, &p->dim[d], &w->q.form[d]);
        if (!tidy(&p->dim[d], s->bound[d])) return 0;
        changed |= 1 << d;
    }
    return changed;
}

/* The loops of the schedule that is known, in a plan with its marks in their order. */
static void read_start(const S *s, const Plan *plan, const int64_t *loop, Site *p) {
    p->plan = plan;
    for (int d = 0; d < s->D; d++) p->dim[d].n = 0;
    for (int i = (int)s->start[1] - 1; i >= 0; i--) {
        const int64_t *x = loop + 4 * i;
        Loops *to = &p->dim[x[0]];
        to->station[to->n] = x[1] ? slot_for(&plan->form[x[0]].slots, (int)x[2]) : AXIS + (int)x[2];
        to->step[to->n++] = (int)x[3];
    }
}

static int same_marks(const S *s, const Plan *plan) {
    if (plan->setting != s->start[2]) return 0;
    for (int i = 0; i < s->setting[plan->setting].nmarks; i++)
        if (plan->order[i] != s->start[3 + i]) return 0;
    return 1;
}

/* At the schedule that is known, with whatever sweeps; whether it was found. */
static int begin_at_start(Walk *w) {
    const S *s = w->q.s;
    Site p;
    w->at.value = INFINITY;
    for (int i = 0; i < s->nplans && s->start[1]; i++) {
        const Plan *plan = &s->plan[i];
        if (!same_marks(s, plan)) continue;
        read_start(s, plan, s->start + 3 + s->setting[plan->setting].nmarks, &p);
        int fine = 1;
        for (int d = 0; d < s->D; d++) fine &= s->bound[d] == 1 || tidy(&p.dim[d], s->bound[d]);
        p.value = fine ? go_to(w, &p, (1 << s->D) - 1) : INFINITY;
        if (p.value < w->at.value) w->at = p;
    }
    if (w->at.value < INFINITY) go_to(w, &w->at, (1 << s->D) - 1);
    return w->at.value < INFINITY;
}

/* All loops outside, in the first plan in which that can be; whether there is one. */
static int begin_outside(Walk *w) {
    const S *s = w->q.s;
    for (int d = 0; d < s->D; d++) w->at.dim[d] = (Loops){s->bound[d] > 1, {0}, {1}};
    for (int i = 0; i < s->nplans; i++) {
        w->at.plan = &s->plan[i];
        w->at.value = go_to(w, &w->at, (1 << s->D) - 1);
        if (w->at.value < INFINITY) return 1;
    }
    return 0;
}

static int begin_at_best(Walk *w) {
    w->at = w->best;
    if (w->at.value < INFINITY) go_to(w, &w->at, (1 << w->q.s->D) - 1);
    return w->at.value < INFINITY;
}

/* One walk; keeps the best site on the way, if it is better than the best before. */
static void take_walk(Walk *w, const Pace *pace) {
    S *s = w->q.s;
    if (w->at.value < w->best.value) w->best = w->at;
    for (int i = 0; i < pace->steps && !overspent(s, STEP_OF_WALK); i++) {
        Site next = w->at;
        int changed = change(w, &next);
        if (!changed) continue;
        next.value = go_to(w, &next, changed);
        if (next.value <= w->at.value * (1 + pace->threshold * (pace->steps - i) / pace->steps)) w->at = next;
        else go_to(w, &w->at, changed);
        if (w->at.value < w->best.value) w->best = w->at;
    }
}

/* Asks about the best site; what is worth asking from now on. */
static double ask_about_best(Walk *w, double most) {
    w->q.most = most;
    if (w->best.value > most) return most;
    go_to(w, &w->best, (1 << w->q.s->D) - 1);
    if (penalty(w, w->terms) > 1) return most;
    take_best(&w->join, w->best.value, w->terms);
    return smaller(w->best.value - 1, w->q.most);
}

/* Walks until the budget is spent; asks about what costs `most` at most. */
static void walk_about(Walk *w, double most) {
    S *s = w->q.s;
    for (int p = s->start[0] ? 2 : 0; p < 3 && !s->stopped; p++) {
        int known = p == 2 && begin_at_start(w);
        if (known) w->best.value = INFINITY;
        while (!s->stopped && s->work < PACES[p].until * s->budget) {
            if (p ? !known && !begin_at_best(w) : !begin_outside(w)) break;
            take_walk(w, &PACES[p]);
            if (s->stopped != 2) most = ask_about_best(w, most);
            known = 0;
        }
    }
}

static void walk(S *s, double most) {
    Walk *w = calloc(1, sizeof *w);
    w->q.s = s, w->join.q = &w->q, w->random = 88172645;
    w->best.value = INFINITY;
    w->slowest = s->slowest, s->slowest = 0;
    for (int d = 0; d < s->D; d++) {
        w->join.rows[d].value = malloc(sizeof(int) * (MAXV + MAXA + 2 * MAXF + 1 + MAXL));
        w->join.rows[d].n = 1;
        w->join.place[d] = malloc(sizeof(uint64_t));
    }
    s->each = 1;
    walk_about(w, most);
    for (int d = 0; d < s->D; d++) free(w->join.rows[d].value), free(w->join.place[d]);
    free(w);
}
