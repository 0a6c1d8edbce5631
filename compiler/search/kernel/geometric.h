/* ---- the least cost of a box as that of a geometric program ----
 *
 * What is known of events and tiles is linear in the logarithms of counts and trips, terms are convex. A convex function is nowhere
 * below its tangents: with any multipliers, that of the Lagrangian at any point is a bound, and within the limits of a box its least
 * value is a sum over counts. See docs/search.md, "Geometric bounds".
 */

enum { STEPS = 30, TANGENT = 6 }; /* TANGENT: the work that a step takes, in chains looked at */

/* What a product of energy and cycles may be at most is a curve: nothing below it is above its chord from the fewest cycles to the
 * most that are worth looking at.
 */
static void set_scale(Program *p, const Boxes *q) {
    const S *s = q->s;
    const Setting *t = q->t;
    Times x;
    p->most = q->most + 1;
    p->price = t->price;
    p->chord = 0;
    if (s->timed == PRODUCT) {
        take_times(s, t, q->plan->order, p->zlow, &x);
        p->fewest = larger(1, cycles_of(s, t, q->plan->order, p->zlow, &x));
        p->slowest = larger(p->fewest, p->most / larger(s->least, energy_of(t, p->zlow) + t->price * p->fewest));
        p->chord = p->most / p->fewest / p->slowest;
        p->price += p->chord;
        p->most = p->most / p->fewest + p->most / p->slowest;
    }
    p->scale = 1 / p->most;
}

/* The least cost where what the program minimises is `value` at least. */
static double cost_at_least(const Program *p, double value) {
    if (!p->chord) return value;
    return smaller((value - p->chord * p->fewest) * p->fewest, (value - p->chord * p->slowest) * p->slowest);
}

static void make_program(Program *p, const Boxes *q, const Box *box) {
    const Setting *t = q->t;
    p->nq = p->full = 0;
    make_variables(p, q, box);
    if (p->full) return;
    make_terms(p, q, box);
    make_tiles(p, q, box);
    make_planes(p, q, box);
    for (int j = 0; j < t->nterms; j++) {
        p->zlow[j] = 1;
        for (int d = 0; d < q->s->D; d++) p->zlow[j] *= q->f[d][j];
    }
    set_scale(p, q);
    memset(&p->cost, 0, sizeof p->cost);
    p->cost.constant = t->constant;
    for (int j = 0; j < t->nterms; j++) {
        p->full |= t->term[j].coefficient < 0;
        if (t->term[j].coefficient) add_terms(p, &p->cost, j, t->term[j].coefficient);
    }
}

/* The bound of a box, in parts of the cost that is looked for: more than one, and there is nothing in it. */
static double geometric(Program *p, const Boxes *q, const Box *box, const Hint *hint, int *steps) {
    double best = -INFINITY;
    Newton w;
    make_program(p, q, box);
    if (p->full) return 0;
    start(p, q, hint);
    for (int i = 0; i < STEPS; i++) {
        ++*steps;
        make_rows(p, q);
        double gap = step(p, &w, !i), bound = tangent(p);
        if (!(bound > -INFINITY)) break; /* not a number */
        if (!i || gap > WIDE_GAP) note_point(p);
        if (bound > best) {
            best = bound;
            memcpy(p->slope, p->g, sizeof p->slope);
        }
        if (best > 1 || gap < 4e-3) break;
    }
    return best;
}

/* The same, and what that leaves of the box; infinite if nothing. */
static double geometric_bound(Boxes *q, Box *box, double bound, const Hint *hint) {
    S *s = q->s;
    if (!s->program) s->program = calloc(1, sizeof(Program));
    int steps = 0;
    box_bound(q, box);
    double part = geometric(s->program, q, box, hint, &steps);
    s->work += steps * TANGENT;
    if (part > 1 + 1e-9) return INFINITY;
    bound = larger(bound, ceil(cost_at_least(s->program, part * (1 - 1e-9) * s->program->most)));
    int changed = part > 0 ? limit_variables(s->program, q, box, 1 + 1e-9 - part) : 0;
    if (bound > q->most || empty_box(q, box)) return INFINITY;
    return changed ? larger(bound, propagate(q, box, changed)) : bound;
}
