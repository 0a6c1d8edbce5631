/* ---- the whole space: plans in the order of their bounds, in rounds; then the best boxes first ---- */

static int by_plan(const void *x, const void *y) {
    const Plan *a = x, *b = y;
    if (a->bound != b->bound) return a->bound < b->bound ? -1 : 1;
    return a->number - b->number;
}

/* The least value up to `most`, if there is any; what was not looked at costs `open` at least. */
static double search_round_of_plans(S *s, double most) {
    double open = INFINITY;
    s->best = most + 1;
    s->nlate = 0;
    for (int i = 0; i < s->nplans && s->plan[i].bound < s->best; i++) {
        const Plan *p = &s->plan[i];
        Boxes q = {s, &s->setting[p->setting], p, p->form, s->best - 1, {{0}}, INFINITY};
        Box box;
        whole_box(s, p->form, &box);
        double bound = propagate(&q, &box, (1 << s->D) - 1);
        if (s->stopped) q.open = bound;
        else search_boxes(&q, &box, bound);
        open = smaller(open, q.open);
    }
    return open;
}

enum { TRIAL = 2000000, MORE = 20 };

/* What a round may take where geometric programs are the alternative: so many times what all before it took, and a trial. */
static int64_t end_of_round(const S *s, int64_t begun, int64_t end) {
    int64_t most = s->work + TRIAL + MORE * (s->work - begun);
    return most < end ? most : end;
}

/* The least value up to `most`, with steps of any size: in rounds with a growing limit; `brief`: until the next one is likely to
 * take more than is left.
 */
static void search_in_rounds(S *s, double most, int brief) {
    int64_t begun = s->work, end = s->budget, last = 0;
    double floor = s->nplans ? s->plan[0].bound : most + 1, limit = most, open = INFINITY;
    if (floor > -INFINITY && !(s->judge && s->timed)) limit = floor + ceil((most - floor) / (s->ports ? 8 : 64));
    s->lower = larger(s->lower, floor);
    while (!s->stopped) {
        int64_t before = last, from = s->work;
        limit = smaller(limit, most);
        if (brief) s->budget = end_of_round(s, begun, end);
        open = search_round_of_plans(s, limit);
        s->budget = end;
        last = s->work - from;
        most = smaller(most, s->worth);
        int done = s->found || limit >= most;
        if (done) open = smaller(open, search_late(s));
        for (int i = 0; i < s->nlate && !done; i++) open = smaller(open, s->late[i].bound);
        s->lower = larger(s->lower, smaller(s->best, ceil(open)));
        if (done) break;
        if (brief && before && (double)last / before * last > end - s->work) s->stopped = 1;
        limit = floor + (s->ports ? SLOWLY : 2) * (limit - floor) + 1;
    }
}

/* The answer of the judge to what rounds have found. */
static void judge_found(S *s) {
    const Plan *p = s->bestplan;
    s->worth = smaller(s->worth, judged(s, &s->setting[p->setting], p->order, s->bestterms));
}

#ifndef ROUNDS
#define ROUNDS 0.65 /* the part of the budget that rounds have; tests leave it out, so that geometric programs do all */
#endif

/* The same within a part of the budget that is left; whether it came to an end. */
static int try_rounds(S *s, double most, void *judge, double part) {
    int64_t budget = s->budget;
    void *asked = s->judge;
    s->judge = judge;
    s->budget = s->work + (int64_t)larger(1, part * (budget - s->work));
    search_in_rounds(s, most, 1);
    s->judge = asked;
    s->budget = budget;
    if (s->stopped != 1 || overdue(s)) return 1;
    s->stopped = 0;
    return 0;
}

/* Rounds that ask nobody, where cycles count: if what they prove to have the least bound costs more, others ask about all that
 * they find. Whether they came to an end; `most` becomes what is to be proven yet.
 */
static int try_rounds_of_cycles(S *s, double *most) {
    int done = try_rounds(s, *most, NULL, ROUNDS);
    if (s->judge && s->found && s->stopped != 2) {
        judge_found(s);
        *most = smaller(*most, s->worth);
        if (done && !s->stopped && *most >= s->best) done = try_rounds(s, *most, s->judge, ROUNDS);
    }
    return done;
}

/* The same. What is not proven in the rounds' part of the budget is left to geometric programs. */
static void search_plans(S *s, double most) {
    qsort(s->plan, s->nplans, sizeof *s->plan, by_plan);
    s->lower = s->nplans ? s->plan[0].bound : most + 1;
    if (s->every) {
        walk(s, most);
        return;
    }
    if (!s->budget || s->timed == FRONT || (s->timed != TIMED && !s->W)) search_in_rounds(s, most, 0);
    else if (!(s->timed ? try_rounds_of_cycles(s, &most) : try_rounds(s, most, s->judge, ROUNDS))) {
        if (s->found && !s->judge) most = s->best - 1;
        s->budget = (int64_t)smaller(s->budget, s->work + (1 - ROUNDS) * s->budget);
        search_best_first(s, smaller(most, s->worth));
    }
    if (s->partial) s->lower = -INFINITY;
}
