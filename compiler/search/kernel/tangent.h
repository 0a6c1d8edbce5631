/* ---- what a tangent of the Lagrangian says of a box: a bound, limits, and where to cut it ---- */

/* The bound that the multipliers give at the point; its gradient. */
WIDE static double tangent(Program *p) {
    double scale = p->scale, price = p->price;
    double weight[MAXQ], sum = p->cost.constant * scale, size = sum, cycles = 0; /* size: of all that is added, for rounding */
    for (int i = 0; i < p->ntimes; i++) cycles += p->multiplier[i];
    for (int i = 0; i < p->nq; i++) weight[i] = p->cost.each[i] * scale;
    for (int r = 0; r < p->nrows; r++) {
        double m = r < p->ntimes ? (cycles > 0 ? p->multiplier[r] / cycles * price * scale : !r * price * scale) : p->multiplier[r];
        if (!m) continue;
        sum += m * p->row[r].constant;
        size += fabs(m * p->row[r].constant);
        for (int i = 0; i < p->nq; i++) weight[i] += m * p->row[r].each[i];
    }
    memset(p->g, 0, sizeof p->g);
    for (int i = 0; i < p->nq; i++) {
        double v = weight[i] * p->value[i];
        sum += v;
        size += v;
        for (int k = 0; k < p->q[i].n; k++) p->g[p->q[i].x[k]] += p->q[i].sign[k] * v;
    }
    for (int i = 0; i < p->nplanes; i++) {
        const Plane *plane = &p->plane[i];
        double m = p->multiplier[p->nrows + i];
        sum += m * height(p, plane);
        size += m * (fabs(plane->most) + 12);
        for (int k = 0; k < plane->n; k++) p->g[plane->x[k]] += plane->sign[k] * m;
    }
    for (int v = 0; v < p->n; v++) {
        double least = smaller(p->g[v] * (p->low[v] - p->x[v]), p->g[v] * (p->high[v] - p->x[v]));
        sum += least;
        size -= least;
    }
    return sum - 1e-12 * size;
}

/* What the tangent says of each count and each trip; whether something changes. `slack`: how much dearer a box may become. */
static int limit_variable(const Program *p, int v, double slack, int *low, int *high) {
    if (v < 0 || *low == *high) return 0;
    double g = p->slope[v];
    if (g > 1e-9) return lower(high, exp(p->low[v] + slack / g) * (1 + 1e-9));
    if (g < -1e-9) return raise(low, exp(p->high[v] + slack / g) * (1 - 1e-9));
    return 0;
}

/* Limits all; returns the dims that change, as bits. */
static int limit_variables(const Program *p, const Boxes *q, Box *box, double slack) {
    int changed = 0;
    for (int d = 0; d < q->s->D; d++) {
        const Form *form = &q->form[d];
        for (int i = 0; i < form->ncounts + q->s->A; i++) {
            int *low = low_of(form, box, d, i), *high = high_of(form, box, d, i);
            changed |= limit_variable(p, variable_of(p, form, d, i), slack, low, high) << d;
        }
    }
    return changed;
}

static int empty_box(const Boxes *q, Box *box) {
    for (int d = 0; d < q->s->D; d++) {
        const Form *form = &q->form[d];
        for (int i = 0; i < form->ncounts + q->s->A; i++)
            if (*low_of(form, box, d, i) > *high_of(form, box, d, i)) return 1;
    }
    return 0;
}

/* How much dearer a box becomes if a variable is moved by one, by half the curvature of the last step. */
WIDE static void curvatures(Program *p, double *half) {
    invert_diagonal(p->h + p->nrows, p->n + 1, p->one + p->nrows, p->inverse, half);
    for (int v = 0; v < p->n; v++) half[v] = 0.5 / half[v];
}

/* How good a cut is: at a value that a count or trips should not take; how much dearer both halves become. */
static double least_likely(const Program *p, int v, const double *half, double slack, int low, int high, int *at) {
    if (v < 0 || low == high) return 0;
    double x = p->x[v], c = exp(x);
    if (c != c) return 0; /* the last step went astray */
    int f = (int)floor(c + 1e-3);
    if (f < low) f = low;
    if (f >= high) f = high - 1;
    double less = larger(0, x - log(f)), more = larger(0, log(f + 1) - x);
    double a = smaller(slack, less * less * half[v]), b = smaller(slack, more * more * half[v]);
    *at = f;
    return (a + 0.01 * slack) * (b + 0.01 * slack);
}

/* The cut that is best, if there is one. */
static void best_cut(Program *p, const Boxes *q, Box *box, double slack, Cut *cut) {
    double half[MAXX], most = 0;
    int at = 0;
    curvatures(p, half);
    for (int d = 0; d < q->s->D; d++) {
        const Form *form = &q->form[d];
        for (int i = 0; i < form->ncounts + q->s->A; i++) {
            double score = least_likely(p, variable_of(p, form, d, i), half, slack, *low_of(form, box, d, i), *high_of(form, box, d, i), &at);
            if (score > most) most = score, *cut = (Cut){d, i, at};
        }
    }
}
