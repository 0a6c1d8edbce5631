/* ---- plans: a placement, and the forms of the dims in it ---- */

static int same_plan(const S *s, const Plan *x, const Plan *y) {
    if (s->timed && memcmp(x->order, y->order, sizeof x->order)) return 0;
    if (x->setting != y->setting) return 0;
    for (int d = 0; d < s->D; d++)
        if (memcmp(&x->form[d], &y->form[d], offsetof(Form, ntiles))) return 0;
    return 1;
}

static Relation *copy_relations(Relation *to, Relation **list, int n) {
    memcpy(to, *list, sizeof *to * n);
    *list = to;
    return to + n;
}

/* Forms with the relations, and the crossings, that they have, each of which are one piece of memory; see free_forms(). */
static Form *copy_forms(const S *s, const Form *form) {
    size_t n = 0, crossings = 0;
    for (int d = 0; d < s->D; d++) n += form[d].ntiles + form[d].nevents + form[d].ncovers, crossings += form[d].ncrossings;
    Form *copy = malloc(sizeof *copy * s->D);
    Relation *to = s->D ? malloc(sizeof *to * n) : NULL;
    Crossing *at = s->D ? malloc(sizeof *at * crossings) : NULL;
    memcpy(copy, form, sizeof *copy * s->D);
    for (int d = 0; d < s->D; d++) {
        to = copy_relations(to, &copy[d].tiles, copy[d].ntiles);
        to = copy_relations(to, &copy[d].events, copy[d].nevents);
        to = copy_relations(to, &copy[d].covers, copy[d].ncovers);
        memcpy(at, copy[d].crossings, sizeof *at * copy[d].ncrossings);
        copy[d].crossings = at;
        at += copy[d].ncrossings;
    }
    return copy;
}

static void free_forms(const S *s, Form *form) {
    if (s->D) free(form->tiles), free(form->crossings);
    free(form);
}

static void add_plan(S *s, Plan plan) {
    const Setting *t = &s->setting[plan.setting];
    Form form[MAXD]; /* most plans are discarded */
    Relations room[MAXD];
    plan.form = form;
    plan.number = s->nplans;
    plan.tied = -1;
    if (!s->every && against_mirror(s, &plan) < 0) return (void)s->discarded[ALIKE]++;
    Boxes q = {s, t, &plan, plan.form, s->best, {{0}}, INFINITY};
    Box box;
    for (int d = 0; d < s->D; d++) make_form(s, t, &plan, d, &form[d], &room[d]);
    for (int d = 0; d < s->D; d++)
        if (plan.form[d].overflow) {
            s->partial = 1;
            return;
        }
    whole_box(s, plan.form, &box);
    plan.bound = propagate(&q, &box, (1 << s->D) - 1);
    int known = plan.bound == INFINITY;
    for (int i = 0; i < s->nplans && !known; i++) known = same_plan(s, &s->plan[i], &plan);
    if (known) {
        s->discarded[plan.bound == INFINITY ? LARGE : ALIKE]++;
        return;
    }
    if (!s->every) plan.tied = tie_of(s, &plan, &box);
    plan.form = copy_forms(s, form);
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
