/* ---- a primal-dual interior point method: a point and multipliers whose tangent is a good bound ----
 *
 * Rows, planes, and the lower and the upper limits of all variables, in this order, have multipliers and slacks. A step solves the
 * Newton system of the conditions of optimality, each multiplier times its slack being what is aimed at: zero first; then the more,
 * the less far that led, and what is not linear in it (Mehrotra, "On the implementation of a primal-dual interior point method", 1992).
 */

typedef struct {
    double over[MAXK];    /* what has to be zero: by how much it is exceeded, and the slack */
    double inverse[MAXK]; /* one by the slack */
    double weight[MAXK];  /* multiplier by slack */
    double aim[MAXK];     /* what multiplier times slack should become, by slack */
    double part[MAXK];    /* how the slack changes, as a part of it */
    double change[MAXK];  /* the same of the multiplier, as it falls */
    double cost[MAXX];    /* less the gradient of the cost */
    double x[MAXX];       /* the right side of the system, then how the point changes */
} Newton;

/* The lower limits come first of all that each variable has. */
static int limits(const Program *p) { return p->nrows + p->nplanes; }

static int constraints(const Program *p) { return limits(p) + 2 * p->n; }

static void start(Program *p, const Boxes *q, const Hint *hint) {
    for (int v = 0; v < p->n; v++) p->x[v] = (p->low[v] + p->high[v]) / 2;
    p->hint = hint ? start_near(p, q, hint) : NULL;
    p->nhints = hint ? hint->nplanes : 0;
    p->noted = 0;
    evaluate(p);
}

static void start_slacks(Program *p, Newton *w) {
    int all = constraints(p), n = p->n, low = limits(p), high = low + n;
    double mu = p->hint ? 0.001 : 0.1;
    for (int r = 0; r < low; r++) p->slack[r] = larger(-w->over[r], 0.1);
    for (int r = low; r < all; r++) w->over[r] = 0;
    for (int v = 0; v < n; v++) p->slack[low + v] = p->x[v] - p->low[v], p->slack[high + v] = p->high[v] - p->x[v];
    for (int r = 0; r < all; r++) p->multiplier[r] = mu / p->slack[r];
    if (p->hint) press(p, p->hint, p->nhints);
}

/* By how much rows and planes are exceeded, with their slacks; at first the cycles, slacks and multipliers that go with it. */
static void exceed(Program *p, Newton *w, int first) {
    double most = 0;
    for (int r = 0; r < p->nrows; r++) w->over[r] = value_of(p, &p->row[r]) * (r < p->ntimes ? p->price * p->scale : 1);
    for (int r = 0; r < p->ntimes; r++) most = larger(most, w->over[r]);
    if (first) p->x[p->n] = most + 0.1;
    for (int r = 0; r < p->ntimes; r++) w->over[r] -= p->x[p->n];
    for (int i = 0; i < p->nplanes; i++) w->over[p->nrows + i] = height(p, &p->plane[i]);
    if (first) start_slacks(p, w);
    for (int r = 0; r < limits(p); r++) w->over[r] += p->slack[r];
}

/* The gradients of the rows, that of the cost, and the Hessian of both. */
static void differentiate(Program *p, Newton *w) {
    int n = p->n + 1, end = padded(n);
    double (*h)[MAXX] = p->h + p->nrows, weight[MAXQ];
    for (int i = 0; i < p->nrows + end; i++) memset(p->h[i], 0, sizeof(double) * end);
    memset(w->cost, 0, sizeof(double) * end);
    for (int i = 0; i < p->nq; i++) weight[i] = p->cost.each[i] * p->scale;
    for (int r = 0; r < p->nrows; r++) {
        double c = r < p->ntimes ? p->price * p->scale : 1;
        for (int i = 0; i < p->nq; i++) {
            const Monomial *m = &p->q[i];
            double each = p->row[r].each[i] * c;
            if (!each) continue;
            weight[i] += p->multiplier[r] * each;
            each *= p->value[i];
            for (int k = 0; k < m->n; k++) p->h[r][m->x[k]] += each * m->sign[k];
        }
        if (r < p->ntimes) p->h[r][p->n] = -1;
    }
    for (int i = 0; i < p->nq; i++) {
        const Monomial *m = &p->q[i];
        double v = weight[i] * p->value[i], cost = p->cost.each[i] * p->scale * p->value[i];
        for (int k = 0; k < m->n; k++) {
            w->cost[m->x[k]] -= m->sign[k] * cost;
            for (int l = 0; l < m->n; l++) h[m->x[k]][m->x[l]] += v * m->sign[k] * m->sign[l];
        }
    }
    w->cost[p->n] -= 1;
}

/* What planes and limits add to the system, slacks and multipliers being eliminated; what rows add follows with the factor. */
static void eliminate(Program *p, Newton *w) {
    int n = p->n, all = constraints(p), low = limits(p), high = low + n;
    double (*h)[MAXX] = p->h + p->nrows;
    for (int r = 0; r < all; r++) w->inverse[r] = 1 / p->slack[r];
    for (int r = 0; r < all; r++) w->weight[r] = p->multiplier[r] * w->inverse[r];
    for (int r = 0; r < p->nrows; r++) p->one[r] = -w->weight[r];
    for (int i = 0; i < p->nplanes; i++) {
        const Plane *plane = &p->plane[i];
        for (int k = 0; k < plane->n; k++) {
            double *to = h[plane->x[k]], c = w->weight[p->nrows + i] * plane->sign[k];
            for (int l = 0; l < plane->n; l++) to[plane->x[l]] += c * plane->sign[l];
        }
    }
    for (int v = 0; v < n; v++) h[v][v] += w->weight[low + v] + w->weight[high + v] + 1e-9;
    h[n][n] += 1e-9;
    factorise(p->h, p->nrows, n + 1, p->one);
}

/* The right side of the system. */
static void right_side(const Program *p, Newton *w, double *rows) {
    int n = p->n, end = padded(n + 1), all = constraints(p), low = limits(p), high = low + n;
    for (int r = 0; r < all; r++) w->part[r] = w->aim[r] + w->weight[r] * w->over[r];
    for (int i = 0; i < end; i++) w->x[i] = w->cost[i];
    for (int v = 0; v < n; v++) w->x[v] += w->part[low + v] - w->part[high + v];
    for (int i = 0; i < p->nplanes; i++) {
        const Plane *plane = &p->plane[i];
        for (int k = 0; k < plane->n; k++) w->x[plane->x[k]] -= w->part[p->nrows + i] * plane->sign[k];
    }
    for (int r = 0; r < padded(p->nrows); r++) rows[r] = r < p->nrows ? w->part[r] : 0;
}

/* How the point changes, and the slacks, if multipliers times slacks become what is aimed at. */
static void direct(Program *p, Newton *w) {
    int n = p->n, end = padded(n + 1), low = limits(p), high = low + n;
    double rows[MAXH + LANES];
    right_side(p, w, rows);
    for (int r = 0; r < p->nrows; r += LANES) subtract_rows(w->x, rows + r, p->h + r, 0, end);
    for (int i = n + 1; i < end; i++) w->x[i] = 0;
    solve_factorised(p->h + p->nrows, n + 1, p->one + p->nrows, w->x);
    for (int r = 0; r < p->nrows; r += LANES) inner_products(p->h + r, w->x, 0, end, rows + r);
    for (int r = 0; r < p->nrows; r++) w->part[r] = -(w->over[r] + rows[r]) * w->inverse[r];
    for (int i = 0; i < p->nplanes; i++) {
        const Plane *plane = &p->plane[i];
        double sum = w->over[p->nrows + i];
        for (int k = 0; k < plane->n; k++) sum += plane->sign[k] * w->x[plane->x[k]];
        w->part[p->nrows + i] = -sum * w->inverse[p->nrows + i];
    }
    for (int v = 0; v < n; v++) w->part[low + v] = w->x[v] * w->inverse[low + v], w->part[high + v] = -w->x[v] * w->inverse[high + v];
}

/* With a direction towards zero: what is aimed at instead. */
static void correct(const Program *p, Newton *w, double gap) {
    int all = constraints(p);
    for (int r = 0; r < all; r++) w->change[r] = -w->part[r];
    double primal = 1 / largest_of(w->change, all, 1), dual = 1 / (1 + largest_of(w->part, all, 0));
    for (int r = 0; r < all; r++) {
        w->change[r] = p->multiplier[r] * (1 - dual * (1 + w->part[r]));
        w->aim[r] = p->slack[r] * (1 + primal * w->part[r]);
    }
    double left = inner_product(w->change, w->aim, all) / gap, mu = gap / all * left * left * left;
    for (int r = 0; r < all; r++) w->aim[r] = mu * w->inverse[r] + p->multiplier[r] * w->part[r] * (1 + w->part[r]);
}

/* How far to go at most so that nothing becomes negative; by which part of itself each number falls. */
static double farthest(const double *fall, int n) { return 1 / largest_of(fall, n, 0.99) * 0.99; }

/* Moves point, slacks and multipliers. */
static void move(Program *p, Newton *w) {
    int all = constraints(p);
    for (int r = 0; r < all; r++) w->change[r] = -w->part[r];
    double primal = farthest(w->change, all);
    for (int r = 0; r < all; r++) w->change[r] = 1 + w->part[r] - w->aim[r] / p->multiplier[r];
    double dual = farthest(w->change, all);
    for (int i = 0; i <= p->n; i++) p->x[i] += primal * w->x[i];
    for (int r = 0; r < all; r++) p->slack[r] *= 1 + primal * w->part[r];
    for (int r = 0; r < all; r++) p->multiplier[r] *= 1 - dual * w->change[r];
    evaluate(p);
}

/* One step; returns the gap before it: multipliers times slacks, which bound how far the point is from the optimum. */
WIDE static double step(Program *p, Newton *w, int first) {
    int all = constraints(p);
    exceed(p, w, first);
    differentiate(p, w);
    eliminate(p, w);
    double gap = inner_product(p->multiplier, p->slack, all);
    memset(w->aim, 0, sizeof(double) * all);
    direct(p, w);
    correct(p, w, gap);
    direct(p, w);
    move(p, w);
    return gap;
}
