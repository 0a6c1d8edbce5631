/* ---- placements: interleavings of the marks ---- */

static int same_tables(const S *s, const Placement *p, const Placement *q) {
    if (p->setting != q->setting) return 0;
    if (s->timed && memcmp(p->order, q->order, sizeof p->order)) return 0;
    for (int g = 0; g < s->G; g++)
        if (p->table[g] != q->table[g]) return 0;
    return 1;
}

static void set_floor(const S *s, Placement *p) {
    double floor = s->setting[p->setting].floor;
    p->floor = floor;
    for (int g = 0; g < s->G; g++)
        p->floor = s->timed ? larger(p->floor, floor + p->table[g]->excess) : p->floor + p->table[g]->excess;
}

/* Whether a placement only bounds others: see base_of(). */
static int is_base(const S *s, const Placement *p) { return s->setting[p->setting].light; }

/* Whether a mark is one of the bias that may stand anywhere. */
static int is_bias(const S *s, const Setting *t, int mark) { return t->twin >= 0 && s->setting[t->twin].first[mark]; }

/* The placement that has the marks of the bias outside all others, where they take no room: no schedule costs less than the same one
 * there. -1 if there is none.
 */
static int base_of(S *s, const Placement *p) {
    int twin = s->setting[p->setting].twin, n = 0;
    Placement base;
    if (twin < 0) return -1;
    memset(&base, 0, sizeof base);
    base.setting = twin;
    for (int first = 1; first >= 0; first--)
        for (int i = 0; i < s->setting[twin].nmarks; i++)
            if (is_bias(s, &s->setting[p->setting], p->order[i]) == first) base.order[n++] = p->order[i];
    for (int g = 0; g < s->G; g++) base.table[g] = table_of(s, twin, g, base.order);
    for (int i = 0; i < s->nplace; i++)
        if (same_tables(s, &s->placement[i], &base)) return i;
    return -1;
}

static void add_placement(S *s, int setting, const int *order) {
    Placement p;
    memset(&p, 0, sizeof p);
    p.setting = setting;
    memcpy(p.order, order, sizeof p.order);
    for (int g = 0; g < s->G; g++) p.table[g] = table_of(s, setting, g, order);
    set_floor(s, &p);
    if (p.floor == INFINITY) return (void)s->discarded[LARGE]++; /* some dim does not fit */
    for (int i = 0; i < s->nplace; i++)
        if (same_tables(s, &s->placement[i], &p)) return (void)s->discarded[ALIKE]++;
    p.number = s->nplace;
    p.base = base_of(s, &p);
    if (s->nplace == s->cplace) {
        s->cplace = 2 * s->cplace + 64;
        s->placement = realloc(s->placement, sizeof(Placement) * s->cplace);
    }
    s->placement[s->nplace++] = p;
}

static void interleave(S *s, int setting, int *order, int placed, int used) {
    const Setting *t = &s->setting[setting];
    if (s->nplace == ENOUGH) s->deadline = s->due;
    if (s->nplace >= (s->relaxed ? MOST_RELAXED : MOST_PLACEMENTS) || s->nplans >= MOST_PLANS || ticked(s, 32)) {
        s->partial = 1;
        return;
    }
    if (placed == t->nmarks) {
        if (s->whole) add_plans(s, setting, order);
        else add_placement(s, setting, order);
        return;
    }
    for (int i = 0; i < 2 * t->nmarks; i++) {
        int m = i % t->nmarks;
        if (used >> m & 1 || is_bias(s, t, m) == i / t->nmarks) continue; /* those of the bias first */
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
            double all = s->best - s->setting[s->placement[i].setting].floor;
            t->slack = larger(t->slack, s->timed ? all - t->excess : slack);
            for (int d = 0; d < s->gdims[g]; d++)
                t->chains[d]->slack = larger(t->chains[d]->slack, s->timed ? all - t->chains[d]->excess : slack);
        }
    }
}

static int by_placement(const void *x, const void *y) {
    const Placement *a = *(Placement *const *)x, *b = *(Placement *const *)y;
    if (a->bound != b->bound) return a->bound < b->bound ? -1 : 1;
    return a->number - b->number;
}

/* Whether a placement may have something as good as the best, as far as its base tells. */
static int promising(S *s, const Placement *p) {
    Placement *base = p->base < 0 ? NULL : &s->placement[p->base];
    if (!base || base->known <= s->best) return 1;
    if (base->bound > s->best) return 0;
    Search q;
    begin(&q, s, base);
    survey(&q);
    q.probe = 1;
    if (filter(&q) < INFINITY) search_rows(&q);
    base->known = q.known;
    if (q.known == INFINITY && !s->stopped) base->bound = INFINITY;
    finish(&q);
    return base->bound < INFINITY;
}

/* Searches the placements that may be as good as the best, those of the least bound first. */
static void search_round(S *s) {
    int n = 0;
    Placement **by = malloc(sizeof *by * (s->nplace + 1));
    set_slack(s);
    for (int i = 0; i < s->nplace; i++) {
        Placement *p = &s->placement[i];
        if (stop(s)) break;
        int empty = p->floor > s->best || (p->base >= 0 && s->placement[p->base].bound > s->best);
        p->bound = p->known = INFINITY;
        for (int g = 0; g < s->G && !empty; g++) {
            build(s, p->table[g]);
            if (s->stopped) break;
            empty = !p->table[g]->n;
        }
        if (s->stopped) break;
        s->discarded[COSTLY] += empty;
        if (empty) continue;
        search_placement(s, p, 0);
        if (!is_base(s, p)) by[n++] = p;
    }
    qsort(by, n, sizeof *by, by_placement);
    for (int i = 0; i < n; i++)
        if (by[i]->bound <= s->best && !stop(s) && promising(s, by[i])) search_placement(s, by[i], 1);
    free(by);
}

static double least_floor(const S *s) {
    double floor = INFINITY;
    for (int i = 0; i < s->nplace; i++)
        if (!is_base(s, &s->placement[i])) floor = smaller(floor, s->placement[i].floor);
    return cycles_alone(s) ? larger(floor, s->setting[0].term[0].coefficient * s->fewest) : floor;
}

static int by_floor(const void *x, const void *y) {
    const Placement *a = x, *b = y;
    if (a->floor != b->floor) return a->floor < b->floor ? -1 : 1;
    return a->number - b->number;
}

static int by_floors(const void *x, const void *y) {
    return by_floor(*(Placement *const *)x, *(Placement *const *)y);
}

/* Leaves no placements but those that schedules are looked for in. */
static void drop_bases(S *s) {
    int n = 0;
    for (int i = 0; i < s->nplace; i++)
        if (!is_base(s, &s->placement[i])) s->placement[n++] = s->placement[i];
    s->nplace = n;
    for (int i = 0; i < n; i++) s->placement[i].base = -1;
}

/* The value of a schedule that is found at once: where costs are products, growing limits would start far below. */
static double good_value(S *s, double most) {
    Placement **by = malloc(sizeof *by * (s->nplace + 1));
    int n = 0;
    for (int i = 0; i < s->nplace; i++)
        if (!is_base(s, &s->placement[i])) by[n++] = &s->placement[i];
    qsort(by, n, sizeof *by, by_floors);
    s->best = most;
    for (int i = 0; i < n && i < TRIED && !s->stopped; i++) descend_in(s, by[i]);
    free(by);
    s->found = s->quick = 0;
    return s->best;
}

/* Out of budget or time with nothing found: what descent gives, and within a budget what is better in those placements,
 * without a proof. */
static void search_some(S *s, double most) {
    int late = overdue(s);
    int64_t budget = s->budget;
    drop_bases(s);
    qsort(s->placement, s->nplace, sizeof *s->placement, by_floor);
    for (int i = 0; i < s->nplace; i++) s->placement[i].number = i;
    s->stopped = 0;
    s->budget = 0;
    s->best = most;
    for (int i = 0; i < s->nplace && i < TRIED && s->stopped != 2; i++) descend_in(s, &s->placement[i]);
    for (int i = TRIED; i < s->nplace; i++) s->placement[i].floor = INFINITY;
    s->budget = s->work + budget / 4;
    if (!late) search_round(s);
    if (s->stopped != 2) s->stopped = 1;
}

/* Where ports count, the best is seldom nearer to its bound than by this part of it: rounds below that find nothing. */
enum { FIRST_LIMIT = 5 };

/* Rounds with a growing limit, until something is found that is no worse than it: then nothing better was missed. Where identical
 * tiles are shared, one round: what is known without sharing them is seldom much worse.
 */
static void search_rounds(S *s, double most) {
    double floor = least_floor(s), limit = most, step;
    s->lower = floor == -INFINITY ? floor : smaller(ceil(floor), most);
    if (s->partial) s->lower = -INFINITY;
    if (floor == INFINITY || s->stopped == 2 || (s->partial && s->relaxed)) return;
    step = ceil(s->timed ? floor / FIRST_LIMIT : (floor - s->setting[0].constant) / 64) + 1;
    if (s->timed == PRODUCT && !s->judge) limit = good_value(s, most);
    else if (floor > -INFINITY && !s->judge && !s->fanout) limit = floor + step;
    while (!s->found && !s->stopped) {
        s->best = smaller(limit, most);
        search_round(s);
        if (s->stopped) break;
        s->lower = s->found ? s->best : smaller(ceil(limit), most);
        if (limit >= most) break;
        limit = larger(limit, floor + (step *= 2));
    }
    if (s->partial) s->lower = -INFINITY;
    if (s->stopped == 1 && !s->found && !s->relaxed && !s->judge) search_some(s, most);
}
