/* ---- a primal-dual interior point method: a point and multipliers whose tangent is a good bound ----
 *
 * Rows and planes, and both limits of each variable, have multipliers; rows and planes have slacks, too. A step solves the Newton
 * system of the conditions of optimality, each multiplier times its slack being `mu`, which falls towards zero.
 */

typedef struct {
    double mu;
    double over[MAXH + MAXI];   /* what has to be zero at most */
    double row[MAXH][MAXX];     /* the gradients of the rows */
    double x[MAXX];             /* the right side of the system, then how the point changes */
    double slack[MAXH + MAXI], multiplier[MAXH + MAXI]; /* how these change */
} Newton;

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define WIDE __attribute__((target_clones("avx2", "default"))) /* the same operations, four at a time */
#else
#define WIDE
#endif

/* Solves h x = b, h being symmetric and positive and given below its diagonal; the result in b, the factor above the diagonal. */
WIDE static void solve_symmetric(double (*h)[MAXX], int n, double *b) {
    for (int i = 0; i < n; i++)
        for (int k = 0; k < i; k++) h[k][i] = h[i][k];
    for (int i = 0; i < n; i++) {
        double *row = h[i], root = sqrt(larger(row[i], 1e-10)), one = 1 / root;
        row[i] = root;
        for (int k = i + 1; k < n; k++) row[k] *= one;
        for (int k = i + 1; k < n; k++) {
            double c = row[k], *to = h[k];
            if (!c) continue;
            for (int l = k; l < n; l++) to[l] -= c * row[l];
        }
    }
    for (int i = 0; i < n; i++) {
        b[i] /= h[i][i];
        for (int l = i + 1; l < n; l++) b[l] -= h[i][l] * b[i];
    }
    for (int i = n - 1; i >= 0; i--) {
        for (int l = i + 1; l < n; l++) b[i] -= h[i][l] * b[l];
        b[i] /= h[i][i];
    }
}

static void start(Program *p) {
    for (int v = 0; v < p->n; v++) {
        p->x[v] = (p->low[v] + p->high[v]) / 2;
        p->below[v] = p->above[v] = 0.1;
    }
    evaluate(p);
}

/* By how much rows and planes are exceeded; at first the cycles, slacks and multipliers that go with it. */
static void exceed(Program *p, Newton *w, int first) {
    double most = 0;
    for (int r = 0; r < p->nrows; r++) w->over[r] = value_of(p, &p->row[r]) * (r < p->ntimes ? p->price * p->scale : 1);
    for (int r = 0; r < p->ntimes; r++) most = larger(most, w->over[r]);
    if (first) p->x[p->n] = most + 0.1;
    for (int r = 0; r < p->ntimes; r++) w->over[r] -= p->x[p->n];
    for (int i = 0; i < p->nplanes; i++) w->over[p->nrows + i] = height(p, &p->plane[i]);
    for (int r = 0; r < p->nrows + p->nplanes && first; r++) {
        p->slack[r] = larger(-w->over[r], 0.1);
        p->multiplier[r] = w->mu / p->slack[r];
    }
}

/* The gradients of the rows, that of the cost, and the Hessian of both. */
static void differentiate(Program *p, Newton *w) {
    int n = p->n + 1;
    double weight[MAXQ];
    for (int i = 0; i < n; i++) memset(p->h[i], 0, sizeof(double) * n), w->x[i] = 0;
    for (int i = 0; i < p->nq; i++) weight[i] = p->cost.each[i] * p->scale;
    for (int r = 0; r < p->nrows; r++) {
        double c = r < p->ntimes ? p->price * p->scale : 1;
        memset(w->row[r], 0, sizeof(double) * n);
        for (int i = 0; i < p->nq; i++) {
            const Monomial *m = &p->q[i];
            double each = p->row[r].each[i] * c;
            if (!each) continue;
            weight[i] += p->multiplier[r] * each;
            for (int k = 0; k < m->n; k++) w->row[r][m->x[k]] += each * m->value * m->sign[k];
        }
        if (r < p->ntimes) w->row[r][p->n] = -1;
    }
    for (int i = 0; i < p->nq; i++) {
        const Monomial *m = &p->q[i];
        double v = weight[i] * m->value, cost = p->cost.each[i] * p->scale * m->value;
        for (int k = 0; k < m->n; k++) {
            w->x[m->x[k]] -= m->sign[k] * cost;
            for (int l = 0; l < m->n; l++) p->h[m->x[k]][m->x[l]] += v * m->sign[k] * m->sign[l];
        }
    }
    w->x[p->n] -= 1;
}

/* The sum of multipliers times slacks, which bounds how far the point is from the optimum; `mu` becomes a tenth of their mean. */
static double complement(const Program *p, Newton *w) {
    double gap = 0;
    for (int r = 0; r < p->nrows + p->nplanes; r++) gap += p->multiplier[r] * p->slack[r];
    for (int v = 0; v < p->n; v++) gap += p->below[v] * (p->x[v] - p->low[v]) + p->above[v] * (p->high[v] - p->x[v]);
    w->mu = 0.1 * gap / (p->nrows + p->nplanes + 2 * p->n);
    return gap;
}

/* What rows, planes and limits add to the system, slacks and multipliers being eliminated. */
static void eliminate(Program *p, Newton *w) {
    int n = p->n + 1;
    for (int r = 0; r < p->nrows + p->nplanes; r++) {
        double d = p->multiplier[r] / p->slack[r], to = w->mu / p->slack[r] + d * (w->over[r] + p->slack[r]);
        if (r < p->nrows) {
            const double *row = w->row[r];
            for (int i = 0; i < n; i++) {
                if (!row[i]) continue;
                w->x[i] -= to * row[i];
                for (int k = 0; k <= i; k++) p->h[i][k] += d * row[i] * row[k];
            }
            continue;
        }
        const Plane *plane = &p->plane[r - p->nrows];
        for (int k = 0; k < plane->n; k++) {
            w->x[plane->x[k]] -= to * plane->sign[k];
            for (int l = 0; l < plane->n; l++) p->h[plane->x[k]][plane->x[l]] += d * plane->sign[k] * plane->sign[l];
        }
    }
    for (int v = 0; v < p->n; v++) {
        double x = p->x[v] - p->low[v], y = p->high[v] - p->x[v];
        p->h[v][v] += p->below[v] / x + p->above[v] / y + 1e-9;
        w->x[v] += w->mu / x - w->mu / y;
    }
    p->h[p->n][p->n] += 1e-9;
}

/* How a multiplier changes with its slack. */
static double follow(double mu, double multiplier, double slack, double change) {
    return mu / slack - multiplier - multiplier / slack * change;
}

/* How much a row or a plane changes with the point. */
static double along(const Program *p, const Newton *w, int r) {
    double sum = 0;
    if (r < p->nrows) {
        for (int i = 0; i <= p->n; i++) sum += w->row[r][i] * w->x[i];
        return sum;
    }
    const Plane *plane = &p->plane[r - p->nrows];
    for (int k = 0; k < plane->n; k++) sum += plane->sign[k] * w->x[plane->x[k]];
    return sum;
}

static double largest_step(double value, double change) { return change < 0 ? -0.97 * value / change : INFINITY; }

/* Moves point, slacks and multipliers as far as none of them becomes negative. */
static void move(Program *p, Newton *w) {
    double primal = 1, dual = 1;
    for (int v = 0; v < p->n; v++) {
        double x = p->x[v] - p->low[v], y = p->high[v] - p->x[v], change = w->x[v];
        primal = smaller(primal, smaller(largest_step(x, change), largest_step(y, -change)));
        dual = smaller(dual, largest_step(p->below[v], follow(w->mu, p->below[v], x, change)));
        dual = smaller(dual, largest_step(p->above[v], follow(w->mu, p->above[v], y, -change)));
    }
    for (int r = 0; r < p->nrows + p->nplanes; r++) {
        w->slack[r] = -(w->over[r] + p->slack[r]) - along(p, w, r);
        w->multiplier[r] = follow(w->mu, p->multiplier[r], p->slack[r], w->slack[r]);
        primal = smaller(primal, largest_step(p->slack[r], w->slack[r]));
        dual = smaller(dual, largest_step(p->multiplier[r], w->multiplier[r]));
    }
    for (int v = 0; v < p->n; v++) {
        double x = p->x[v] - p->low[v], y = p->high[v] - p->x[v], change = w->x[v];
        double below = follow(w->mu, p->below[v], x, change), above = follow(w->mu, p->above[v], y, -change);
        p->below[v] += dual * below;
        p->above[v] += dual * above;
        p->x[v] += primal * change;
    }
    p->x[p->n] += primal * w->x[p->n];
    for (int r = 0; r < p->nrows + p->nplanes; r++) p->slack[r] += primal * w->slack[r], p->multiplier[r] += dual * w->multiplier[r];
    evaluate(p);
}

/* One step; returns the gap before it. */
static double step(Program *p, Newton *w, int first) {
    exceed(p, w, first);
    differentiate(p, w);
    double gap = complement(p, w);
    eliminate(p, w);
    solve_symmetric(p->h, p->n + 1, w->x);
    move(p, w);
    return gap;
}
