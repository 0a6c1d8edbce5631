/* ---- cycles: the busiest of compute, ports and networks; see docs/search.md, "Cycles" ----
 *
 * `z` has the product of the factors of each term, or less: everything here grows with each of them.
 */

typedef struct {
    double compute;                 /* with all stops and waits */
    double port[MAXP];              /* what passes it in all */
    double took[MAXW][MAXN], stop[MAXW];
    double phases[MAXW];            /* how often a first tile is waited for */
    int together;                   /* nothing stops: first tiles come at the same time, here the longest counts */
} Times;

static double took(const Load *l, const double *z) {
    double all = z[l->words] * l->each;
    return l->back < 0 ? larger(0, all - l->less) : all - all / z[l->back];
}

/* The cycles of the first event: its words take what all take on average. */
static double took_first(const Load *l, const double *z) {
    if (l->first < 0) return 0;
    double all = z[l->words] * l->each, share = l->less > 0 ? larger(0, all - l->less) / all : 1;
    return z[l->first] * l->once * share;
}

/* How long first tiles are waited for. */
static double waited(const Load *l, const double *z, double phases, double all) { return smaller(phases * took_first(l, z), all); }

/* How long the work inside has to stop, or to wait for first tiles or the last ones; `known`: `z` is of one schedule. */
static double stop_of(const Work *w, const double *z, const double *times, double phases, int known) {
    double share = 0, first = 0, later = 0, longest = 0;
    if (w->kind == MACS || !w->n) return 0;
    if (w->fifo >= 0) share = smaller(1, w->room / larger(1, z[w->fifo] * w->unit));
    for (int i = 0; i < w->n; i++) {
        const Load *l = &w->load[i];
        double x = took_first(l, z), y = larger(0, times[i] - x) * (l->ahead ? 1 - share : 1);
        first = larger(first, w->kind == OVERLAPS ? waited(l, z, phases, times[i]) : x);
        later = larger(later, y);
        longest = larger(longest, x + y);
    }
    if (w->kind == OVERLAPS) return first;
    return w->alike || (known && w->plain) ? first + later : longest;
}

/* Whether first tiles are the smaller the further in a mark of the bias stands, which is nowhere in particular. */
static int spread_out(const Setting *t, const Work *w) { return w->kind == OVERLAPS && t->first[w->mark]; }

static void take_times(const S *s, const Setting *t, const int *order, const double *z, Times *x) {
    double begins = 0;
    x->together = 1;
    for (int p = 0; p < s->ports; p++) x->port[p] = 0;
    for (int i = 0; i < t->nworks; i++)
        if (t->work[i].kind == STOPS) x->together = 0;
    x->compute = z[t->compute];
    for (int i = 0; i < t->nworks; i++) {
        const Work *w = &t->work[i];
        for (int l = 0; l < w->n; l++) {
            x->took[i][l] = took(&w->load[l], z);
            x->port[w->load[l].port] += x->took[i][l];
        }
        x->phases[i] = s->each && order && w->kind != MACS ? phases_of(t, w->mark, z, 0) : 1;
        x->stop[i] = spread_out(t, w) ? 0 : stop_of(w, z, x->took[i], x->phases[i], 0);
        if (x->together && w->kind == OVERLAPS) begins = larger(begins, x->stop[i]);
        else x->compute += x->stop[i];
    }
    x->compute += begins;
}

/* What the works at the fill position of a mark are to each port: what it takes for them itself, what it has to wait for beside
 * that, and what stops it.
 */
typedef struct {
    double here[MAXP], beside[MAXP], stops[MAXP];
} Position;

static void take_position(const S *s, const Setting *t, const double *z, const Times *x, int mark, Position *at) {
    for (int p = 0; p < s->ports; p++) at->here[p] = at->beside[p] = at->stops[p] = 0;
    for (int i = t->from[mark]; i < t->from[mark + 1]; i++) {
        const Work *w = &t->work[i];
        int together = x->together && w->kind == OVERLAPS;
        double stop = together ? 0 : x->stop[i], beside[MAXP], stops[MAXP];
        for (int p = 0; p < s->ports; p++) beside[p] = stops[p] = stop;
        for (int l = 0; l < w->n; l++) {
            const Load *load = &w->load[l];
            int p = load->port;
            at->here[p] += x->took[i][l];
            if (load->ahead) stops[p] = smaller(stops[p], x->took[i][l]);
            if (together) continue;
            if (w->kind == STOPS) beside[p] = load->ahead ? 0 : larger(0, stop - x->took[i][l]);
            else beside[p] = w->alike && load->first >= 0 ? larger(0, stop - waited(load, z, x->phases[i], x->took[i][l])) : 0;
        }
        for (int p = 0; p < s->ports; p++) at->beside[p] += beside[p], at->stops[p] += stops[p];
    }
}

/* The longest that a port takes for what moves at a mark and inside, and all that stops it outside. */
static double port_times(const S *s, const Setting *t, const int *order, const double *z, const Times *x) {
    double rest[MAXP], outside[MAXP], most = 0;
    Position at;
    for (int p = 0; p < s->ports; p++) rest[p] = x->port[p], outside[p] = 0;
    for (int k = 0; k <= t->nmarks; k++) {
        int m = k < t->nmarks ? order[k] : t->nmarks;
        if (t->from[m] == t->from[m + 1] || (k < t->nmarks && t->first[m])) continue;
        take_position(s, t, z, x, m, &at);
        for (int p = 0; p < s->ports; p++) {
            if (at.here[p] > 0) most = larger(most, outside[p] + rest[p] + at.beside[p]);
            rest[p] -= at.here[p];
            outside[p] += at.stops[p];
        }
    }
    return most;
}

static double whole_cycles(double least) { return ceil(least * (1 - 1e-12)); }

/* Cycles at least; without an order of marks, whatever it is. */
static double cycles_of(const S *s, const Setting *t, const int *order, const double *z, const Times *x) {
    double most = larger(s->fewest, x->compute);
    for (int p = 0; p < s->ports; p++) most = larger(most, x->port[p]);
    if (order) most = larger(most, port_times(s, t, order, z, x));
    return whole_cycles(most);
}

/* ---- a front over energy and cycles: what is not less than a point known in energy, nor in cycles, is not wanted ---- */

/* The least energy known of schedules with so many cycles, or fewer. */
static double least_known(const S *s, double cycles) {
    int low = 0, high = s->nfront - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (s->front[middle].cycles <= cycles) low = middle;
        else high = middle - 1;
    }
    return s->front[low].energy; /* no schedule is faster than the first */
}

/* How many cycles a schedule of so much energy may have at most. */
static double most_wanted(const S *s, double energy) {
    for (int i = 0; i < s->nfront; i++)
        if (s->front[i].energy <= energy) return s->front[i].cycles - 1;
    return INFINITY;
}

static void add_point(S *s, Point point) {
    int first = 0, last;
    while (first < s->nfront && s->front[first].cycles < point.cycles) first++;
    for (last = first; last < s->nfront && s->front[last].energy >= point.energy;) last++;
    if (s->nfront == s->cfront) s->front = realloc(s->front, sizeof(Point) * (s->cfront = 2 * s->cfront + 16));
    memmove(s->front + first + 1, s->front + last, sizeof(Point) * (s->nfront - last));
    s->nfront += 1 - (last - first);
    s->front[first] = point;
}

/* What is compared: less than zero on a front, if nothing known is as good in both. */
static double combined(const S *s, const Setting *t, double energy, double cycles) {
    energy += t->price * cycles;
    return s->timed == PRODUCT ? larger(s->least, energy) * cycles : s->timed == FRONT ? energy - least_known(s, cycles) : energy;
}

/* Energy without that of cycles. */
static double energy_of(const Setting *t, const double *z) {
    double sum = t->constant;
    for (int j = 0; j < t->nterms; j++)
        if (t->term[j].coefficient) sum += t->term[j].coefficient * z[j];
    return sum;
}

/* Asks what the schedule just found costs, which is no less than its energy and cycles here tell. The answer is the
 * largest bound that is still worth looking at.
 */
static double settled_cycles(const S *s, const Setting *t, const int *order, const double *z, const Times *times);

static double judged(S *s, const Setting *t, const int *order, const double *z) {
    Times x;
    Answer answer;
    if (s->timed) take_times(s, t, order, z, &x);
    double energy = energy_of(t, z), cycles = s->timed ? cycles_of(s, t, order, z, &x) : 0;
    if (s->each) cycles = larger(cycles, settled_cycles(s, t, order, z, &x));
    if (s->timed == FRONT) add_point(s, (Point){energy + t->price * cycles, cycles});
    write_answer(s, &answer);
    return ask(s, &answer, energy, cycles);
}

static double timed_cost(const S *s, const Setting *t, const int *order, const double *z) {
    Times x;
    take_times(s, t, order, z, &x);
    return combined(s, t, energy_of(t, z), cycles_of(s, t, order, z, &x));
}
