/* ---- the least cost of a box as that of a geometric program ----
 *
 * In the logarithms of counts and trips, each term is a sum of exponentials of sums, so convex, and what is known of events and tiles is
 * linear. A convex function is nowhere below its tangents: with any multipliers, that of the Lagrangian at any point is a bound, and
 * within the limits of a box its least value is a sum over counts. See docs/search.md, "Geometric bounds".
 */

enum { MAXX = 192, MAXQ = 192, MAXE = 40, MAXH = 64, MAXI = 1024 };

typedef struct {
    double c, value; /* value: at the point */
    int n, x[MAXE], sign[MAXE];
} Monomial;

typedef struct {
    double most; /* the sum is so much at most */
    int n, x[MAXA + 4], sign[MAXA + 4];
} Plane;

/* What is at least zero, or at most: a constant and a sum of monomials. */
typedef struct {
    double constant, each[MAXQ];
} Sum;

typedef struct Program {
    int n;                       /* variables; cycles are another one, the last */
    int count[MAXD][MAXV], trips[MAXD][MAXA]; /* which variables they are */
    double low[MAXX], high[MAXX], x[MAXX];
    int nq, first[MAXJ + 1], tile[MAXM + 1];
    Monomial q[MAXQ];
    int ntimes, nrows;           /* rows: cycles that are taken, then rooms that are filled */
    Sum cost, row[MAXH];
    int nplanes;
    Plane plane[MAXI];
    /* multipliers and slacks: of rows, planes, and both limits of each variable */
    double m[MAXH + MAXI], slack[MAXH + MAXI], below[MAXX], above[MAXX];
    double g[MAXX];              /* the gradient of the Lagrangian */
    double slope[MAXX];          /* the same of the best bound */
    double h[MAXX][MAXX];
    double zlow[MAXJ];
    int full;
} Program;

static int monomial(Program *p, double c) {
    if (p->nq == MAXQ) return p->full = 1, MAXQ - 1;
    p->q[p->nq].c = c;
    p->q[p->nq].n = 0;
    return p->nq++;
}

static void times(Program *p, int q, int x, int sign) {
    Monomial *m = &p->q[q];
    if (p->low[x] == p->high[x]) return (void)(m->c *= exp(sign * p->low[x]));
    if (m->n == MAXE) p->full = 1;
    else m->x[m->n] = x, m->sign[m->n++] = sign;
}

/* Each of the monomials from `first` on times c1 x1 + c2 x2; a variable -1 is one, a coefficient 0 none. */
static void times_sum(Program *p, int first, double c1, int x1, double c2, int x2) {
    int end = p->nq;
    for (int q = first; q < end; q++) {
        if (c2) {
            int other = monomial(p, p->q[q].c * c2);
            int n = p->q[q].n;
            for (int i = 0; i < n; i++) times(p, other, p->q[q].x[i], p->q[q].sign[i]);
            if (x2 >= 0) times(p, other, x2, 1);
        }
        p->q[q].c *= c1;
        if (x1 >= 0) times(p, q, x1, 1);
    }
}

/* The words of a term's window. */
static void times_window(Program *p, const Boxes *q, const Box *box, int first, int j, int outer) {
    const S *s = q->s;
    const Form *form = q->form;
    const Win *x = form[outer].win;
    const Term *term = &q->t->term[j];
    int inner = x->dim[1];
    if (term->kind == EVENTS) return;
    if (term->kind == FIRST) { /* residues (a - 1) + b, less what is outside */
        int at = form[outer].of[j];
        double a = box->low[outer][at], least = window_words(q, j, outer, box->low[outer], box->low[inner < 0 ? 0 : inner], 1);
        if (least <= 0) times_sum(p, first, 0, -1, 0, -1);
        else if (least >= a) times_sum(p, first, 1, p->count[outer][at], least - a, -1);
        else times_sum(p, first, least / a, p->count[outer][at], 0, -1);
        return;
    }
    double P = outer_bound(s, x), R = inner_bound(s, x), k = inner < 0 ? 1 : box->low[inner][form[inner].of[j]];
    int n = p->count[outer][form[outer].of[j]], r = inner < 0 ? -1 : p->count[inner][form[inner].of[j]];
    double pieces = box->low[outer][form[outer].of[j]], words = k * P + (R - k) * pieces;
    double part = term->padding ? 1 : larger(0, words - x->outside) / words;
    if (r >= 0 && p->low[r] < p->high[r] && p->low[n] == p->high[n])
        times_sum(p, first, part * (P - pieces), r, part * R * pieces, -1);
    else
        times_sum(p, first, part * k * P, -1, part * (R - k), n);
    if (term->kind != BUSIEST) return;
    for (int i = 0; i < 2; i++) {
        int d = x->dim[i];
        for (int a = 0; d >= 0 && a < s->A; a++)
            if (spread(s, term, d) >> a & 1 && p->trips[d][a] >= 0)
                for (int m = first; m < p->nq; m++) times(p, m, p->trips[d][a], -1);
    }
}

static void make_terms(Program *p, const Boxes *q, const Box *box) {
    const Setting *t = q->t;
    for (int j = 0; j < t->nterms; j++) {
        p->first[j] = p->nq;
        monomial(p, 1);
        for (int d = 0; d < q->s->D; d++) {
            int i = q->form[d].of[j];
            if (i < 0) continue;
            if (q->s->class[t->term[j].operand][d] != WINDOW) {
                for (int m = p->first[j]; m < p->nq; m++) times(p, m, p->count[d][i], 1);
            } else if (!q->form[d].inner)
                times_window(p, q, box, p->first[j], j, d);
        }
    }
    p->first[t->nterms] = p->nq;
}

static void make_tiles(Program *p, const Boxes *q, const Box *box) {
    const S *s = q->s;
    const Setting *t = q->t;
    for (int m = 0; m < t->nmarks; m++) {
        int first = p->tile[m] = p->nq;
        monomial(p, 1);
        for (int d = 0; d < s->D; d++) {
            const Form *form = &q->form[d];
            int i = form->of[t->nterms + m];
            if (i < 0) continue;
            if (s->class[t->operand[m]][d] != WINDOW) {
                for (int k = first; k < p->nq; k++) times(p, k, p->count[d][i], 1);
                continue;
            }
            if (form->inner) continue;
            int o = form->win->dim[1];
            if (form->words[m] >= 0 || form->runs[m] >= 0) {
                times_sum(p, first, window_tile(q, box, m, d), -1, 0, -1);
                continue;
            }
            if (o < 0) {
                times_sum(p, first, 1, p->count[d][i], 0, -1);
                continue;
            }
            int r = q->form[o].of[t->nterms + m];
            double b = box->low[o][r], k = box->low[o][q->form[o].residues[m]];
            if (k > b) k = b;
            times_sum(p, first, k, p->count[d][i], 1 - k / b, p->count[o][r]);
        }
    }
    p->tile[t->nmarks] = p->nq;
}

static void add_terms(const Program *p, Sum *sum, int j, double c) {
    for (int q = p->first[j]; q < p->first[j + 1]; q++) sum->each[q] += c;
}

static void add_took(const Program *p, Sum *sum, const Load *l, double c) {
    if (l->back >= 0) {
        add_terms(p, sum, l->words, c * l->each * (1 - 1 / larger(1, p->zlow[l->back])));
        return;
    }
    add_terms(p, sum, l->words, c * l->each);
    sum->constant -= c * l->less;
}

static double share_of(const Program *p, const Load *l) {
    double all = p->zlow[l->words] * l->each;
    return l->less > 0 ? larger(0, all - l->less) / all : 1;
}

/* How long the work stops at least; z: which of its loads takes longest is chosen by. */
static void add_stop(const Program *p, Sum *sum, const Work *w, const double *z, double c) {
    double share = 0, most = -1;
    int chosen = -1;
    if (w->kind == MACS || !w->n) return;
    if (w->fifo >= 0) share = smaller(1, w->room / larger(1, p->zlow[w->fifo] * w->unit));
    for (int i = 0; i < w->n; i++) {
        const Load *l = &w->load[i];
        double x = took_first(l, z), y = w->kind == OVERLAPS ? 0 : larger(0, took(l, z) - x) * (l->ahead ? 1 - share : 1);
        if (x + y > most) most = x + y, chosen = i;
    }
    const Load *l = &w->load[chosen];
    double later = w->kind == OVERLAPS ? 0 : l->ahead ? 1 - share : 1;
    if (l->first >= 0) add_terms(p, sum, l->first, c * l->once * share_of(p, l) * (1 - later));
    if (later) add_took(p, sum, l, c * later);
}

static Sum *new_sum(Program *p, int *n) {
    Sum *sum = &p->row[(*n)++];
    sum->constant = 0;
    memset(sum->each, 0, sizeof(double) * p->nq);
    return sum;
}

/* The sums that cycles are no fewer than, see port_times. */
static void make_times(Program *p, const Boxes *q, const double *z) {
    const S *s = q->s;
    const Setting *t = q->t;
    Times x;
    take_times(s, t, z, &x);
    p->ntimes = 0;
    new_sum(p, &p->ntimes)->constant = s->fewest;
    Sum *sum = new_sum(p, &p->ntimes);
    add_terms(p, sum, t->compute, 1);
    int begins = -1;
    for (int i = 0; i < t->nworks; i++) {
        const Work *w = &t->work[i];
        if (!x.together || w->kind != OVERLAPS) add_stop(p, sum, w, z, 1);
        else if (begins < 0 || x.stop[i] > x.stop[begins]) begins = i;
    }
    if (begins >= 0) add_stop(p, sum, &t->work[begins], z, 1);
    for (int port = 0; port < s->ports; port++) {
        for (int k = 0; k <= t->nmarks; k++) { /* what moves at this mark and inside, with what stops outside */
            int m = k < t->nmarks ? q->plan->order[k] : t->nmarks, here = 0;
            if (t->from[m] == t->from[m + 1] || (k < t->nmarks && t->first[m])) continue;
            for (int i = t->from[m]; i < t->from[m + 1]; i++)
                for (int l = 0; l < t->work[i].n; l++) here |= t->work[i].load[l].port == port;
            if (!here) continue;
            if (p->ntimes == MAXH - MAXC) return;
            sum = new_sum(p, &p->ntimes);
            for (int at = 0; at <= t->nmarks; at++) {
                int o = at < t->nmarks ? q->plan->order[at] : t->nmarks;
                for (int i = t->from[o]; i < t->from[o + 1]; i++) {
                    const Work *w = &t->work[i];
                    int ahead = 0, uses = 0, stops = !(x.together && w->kind == OVERLAPS);
                    for (int l = 0; l < w->n; l++) {
                        if (w->load[l].port != port) continue;
                        uses = 1, ahead |= w->load[l].ahead;
                        if (at >= k) add_took(p, sum, &w->load[l], 1);
                    }
                    if (at < k && stops && !ahead && !(at < t->nmarks && t->first[o])) add_stop(p, sum, w, z, 1);
                    if (at == k && stops && !uses) add_stop(p, sum, w, z, 1);
                }
            }
        }
    }
}

static void add_plane(Program *p, double most, int n, const int *x, const int *sign) {
    if (p->nplanes == MAXI) return;
    Plane *plane = &p->plane[p->nplanes++];
    plane->most = most, plane->n = 0;
    double largest = 0;
    for (int i = 0; i < n; i++) {
        if (x[i] < 0) continue;
        double low = sign[i] * p->low[x[i]], high = sign[i] * p->high[x[i]];
        largest += larger(low, high);
        if (low == high) plane->most -= low;
        else plane->x[plane->n] = x[i], plane->sign[plane->n++] = sign[i];
    }
    if (!plane->n || largest <= most) return (void)p->nplanes--; /* nothing that the limits do not say */
    for (int i = 0; i + 1 < p->nplanes; i++)
        if (p->plane[i].n == plane->n && p->plane[i].most <= plane->most && !memcmp(p->plane[i].x, plane->x, sizeof(int) * plane->n) &&
            !memcmp(p->plane[i].sign, plane->sign, sizeof(int) * plane->n)) return (void)p->nplanes--;
}

/* x <= y times trips, or if x is negative: D <= y times trips. */
static void add_cover(Program *p, const S *s, int d, double D, int x1, int x2, int axes) {
    int x[MAXA + 2], sign[MAXA + 2], n = 0;
    x[n] = x1, sign[n++] = -1;
    x[n] = x2, sign[n++] = -1;
    for (int a = 0; a < s->A; a++)
        if (axes >> a & 1) x[n] = p->trips[d][a], sign[n++] = -1;
    add_plane(p, -log(D), n, x, sign);
}

static void add_within(Program *p, const S *s, int d, int x1, int y1, int axes, double times) {
    int x[MAXA + 2], sign[MAXA + 2], n = 0;
    x[n] = x1, sign[n++] = 1;
    x[n] = y1, sign[n++] = -1;
    for (int a = 0; a < s->A; a++)
        if (axes >> a & 1) x[n] = p->trips[d][a], sign[n++] = -1;
    add_plane(p, log(times), n, x, sign);
}

static void make_planes(Program *p, const Boxes *q, const Box *box) {
    const S *s = q->s;
    for (int d = 0; d < s->D; d++) {
        const Form *form = &q->form[d];
        const int *var = p->count[d];
        if (form->D == 1) continue;
        for (int i = 0; i < form->ncounts; i++) {
            const Count *c = &form->count[i];
            if (c->tile && c->what == DIGITS) {
                if (!c->boundary) add_cover(p, s, d, form->D, var[i], -1, c->axes);
                for (int a = 0; a < s->A; a++)
                    if (form->usable & ~c->axes & 1 << a && p->trips[d][a] >= 0) add_within(p, s, d, p->trips[d][a], var[i], 0, 1);
            }
            if (c->tile || c->what == BORDER) continue;
            for (int r = form->covered[i]; r < form->covered[i + 1]; r++)
                add_cover(p, s, d, form->D, var[i], var[form->covers[r].y], form->covers[r].axes);
            if (c->boundary == form->K) add_cover(p, s, d, form->D, var[i], -1, form->usable & ~c->axes);
            for (int a = 0; a < s->A; a++)
                if (c->axes >> a & 1 && p->trips[d][a] >= 0) add_within(p, s, d, p->trips[d][a], var[i], 0, 1);
        }
        for (int r = 0; r < form->ntiles; r++) add_within(p, s, d, var[form->tiles[r].x], var[form->tiles[r].y], form->tiles[r].axes, 1);
        for (int r = 0; r < form->nevents; r++) {
            const Relation *e = &form->events[r];
            if (e->only && most_trips(s, form, box, d, e->only) > 1) continue;
            add_within(p, s, d, var[e->x], var[e->y], e->axes, 1);
        }
        for (int i = 0; i < form->ncounts && form->inner; i++) {
            const Count *x = &form->count[i];
            if (x->what != RESIDUES || !x->tile) continue;
            int alike = up(inner_bound(s, form->win), least_residues(s, form->win));
            for (int k = 0; k < form->ncounts; k++) {
                const Count *y = &form->count[k];
                if (y->tile && y->what == DIGITS && y->boundary == x->boundary && y->axes == x->axes) add_within(p, s, d, var[k], var[i], 0, alike);
            }
        }
    }
    for (int a = 0; a < s->A; a++) {
        int x[MAXD], sign[MAXD], n = 0;
        for (int d = 0; d < s->D && n < MAXA + 4; d++)
            if (p->trips[d][a] >= 0) x[n] = p->trips[d][a], sign[n++] = 1;
        if (n) add_plane(p, log(s->size[a]), n, x, sign);
    }
}

static int variable(Program *p, int low, int high) {
    if (p->n == MAXX - 2) return p->full = 1, -1;
    p->low[p->n] = log(larger(1, low)), p->high[p->n] = log(larger(1, high));
    return p->n++;
}

/* Of counts and trips that are open in a box, or of those that are not: these come last. */
static void name_variables(Program *p, const Boxes *q, const Box *box, int open) {
    for (int d = 0; d < q->s->D; d++) {
        const Form *form = &q->form[d];
        for (int i = 0; i < form->ncounts; i++) {
            int what = form->count[i].what, known = what == DIGITS || what == PIECES || what == RESIDUES;
            if (open) p->count[d][i] = -1;
            if (known && (box->low[d][i] < box->high[d][i]) == open) p->count[d][i] = variable(p, box->low[d][i], box->high[d][i]);
        }
        for (int a = 0; a < q->s->A; a++) {
            if (open) p->trips[d][a] = -1;
            if (form->usable >> a & 1 && (box->least[d][a] < box->most[d][a]) == open) p->trips[d][a] = variable(p, box->least[d][a], box->most[d][a]);
        }
    }
}

static void make_program(Program *p, const Boxes *q, const Box *box) {
    const S *s = q->s;
    const Setting *t = q->t;
    p->n = p->nq = p->nplanes = p->full = 0;
    name_variables(p, q, box, 1);
    int n = p->n;
    name_variables(p, q, box, 0);
    p->n = n;
    if (p->full) return;
    make_terms(p, q, box);
    make_tiles(p, q, box);
    make_planes(p, q, box);
    for (int j = 0; j < t->nterms; j++) {
        p->zlow[j] = 1;
        for (int d = 0; d < s->D; d++) p->zlow[j] *= q->f[d][j];
    }
    memset(&p->cost, 0, sizeof p->cost);
    p->cost.constant = t->constant;
    for (int j = 0; j < t->nterms; j++) {
        p->full |= t->term[j].coefficient < 0;
        if (t->term[j].coefficient) add_terms(p, &p->cost, j, t->term[j].coefficient);
    }
}

static void make_rooms(Program *p, const Boxes *q) {
    const Setting *t = q->t;
    p->nrows = p->ntimes;
    for (int k = 0; k < t->ncaps; k++) {
        Sum *sum = new_sum(p, &p->nrows);
        sum->constant = -1;
        for (int m = 0; m < t->nmarks; m++)
            for (int i = p->tile[m]; i < p->tile[m + 1] && t->held[k] >> m & 1; i++) sum->each[i] += t->weight[m] / t->limit[k];
    }
}

static void evaluate(Program *p) {
    for (int i = 0; i < p->nq; i++) {
        Monomial *m = &p->q[i];
        double sum = 0;
        for (int k = 0; k < m->n; k++) sum += m->sign[k] * p->x[m->x[k]];
        m->value = m->c * exp(sum);
    }
}

static double value_of(const Program *p, const Sum *sum) {
    double all = sum->constant;
    for (int i = 0; i < p->nq; i++) all += sum->each[i] * p->q[i].value;
    return all;
}

static double height(const Program *p, const Plane *plane) {
    double sum = -plane->most;
    for (int k = 0; k < plane->n; k++) sum += plane->sign[k] * p->x[plane->x[k]];
    return sum;
}

/* The bound that the multipliers give at the point; its gradient. `scale`, `price`: of costs and of cycles. */
static double tangent(Program *p, double scale, double price) {
    double weight[MAXQ], sum = p->cost.constant * scale, size = sum, cycles = 0; /* size: of all that is added, for rounding */
    for (int i = 0; i < p->ntimes; i++) cycles += p->m[i];
    for (int i = 0; i < p->nq; i++) weight[i] = p->cost.each[i] * scale;
    for (int r = 0; r < p->nrows; r++) {
        double m = r < p->ntimes ? (cycles > 0 ? p->m[r] / cycles * price * scale : !r * price * scale) : p->m[r];
        if (!m) continue;
        sum += m * p->row[r].constant;
        size += fabs(m * p->row[r].constant);
        for (int i = 0; i < p->nq; i++) weight[i] += m * p->row[r].each[i];
    }
    memset(p->g, 0, sizeof p->g);
    for (int i = 0; i < p->nq; i++) {
        double v = weight[i] * p->q[i].value;
        sum += v;
        size += v;
        for (int k = 0; k < p->q[i].n; k++) p->g[p->q[i].x[k]] += p->q[i].sign[k] * v;
    }
    for (int i = 0; i < p->nplanes; i++) {
        const Plane *plane = &p->plane[i];
        double m = p->m[MAXH + i];
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

enum { STEPS = 30, TANGENT = 6 };

static double largest_step(double value, double change) { return change < 0 ? -0.97 * value / change : INFINITY; }

/* The bound of a box, in parts of the cost that is looked for: more than one, and there is nothing in it. An interior point method. */
static double geometric(Program *p, const Boxes *q, const Box *box, int *steps) {
    double scale = 1 / (q->most + 1), price = q->t->price, best = -INFINITY, z[MAXJ];
    make_program(p, q, box);
    if (p->full) return 0;
    int M = p->n, n = p->n + 1;
    for (int v = 0; v < M; v++) {
        p->x[v] = (p->low[v] + p->high[v]) / 2;
        p->below[v] = p->above[v] = 0.1;
    }
    evaluate(p);
    double mu = 0.1;
    for (int step = 0; step < STEPS; step++) {
        ++*steps;
        for (int j = 0; j < q->t->nterms; j++) {
            z[j] = 0;
            for (int i = p->first[j]; i < p->first[j + 1]; i++) z[j] += p->q[i].value;
        }
        make_times(p, q, z);
        make_rooms(p, q);
        double g[MAXH + MAXI], cycles = 0;
        for (int r = 0; r < p->nrows; r++) g[r] = value_of(p, &p->row[r]) * (r < p->ntimes ? price * scale : 1);
        if (!step) {
            for (int r = 0; r < p->ntimes; r++) cycles = larger(cycles, g[r]);
            p->x[M] = cycles + 0.1;
        }
        for (int r = 0; r < p->ntimes; r++) g[r] -= p->x[M];
        for (int i = 0; i < p->nplanes; i++) g[MAXH + i] = height(p, &p->plane[i]);
#define EACH(r) for (int r = 0; r < MAXH + p->nplanes; r = r + 1 == p->nrows ? MAXH : r + 1)
        if (!step) EACH(r) {
                p->slack[r] = larger(-g[r], 0.1);
                p->m[r] = mu / p->slack[r];
            }
        /* the Newton system */
        double b[MAXX], weight[MAXQ], rows[MAXH][MAXX];
        for (int i = 0; i < n; i++) memset(p->h[i], 0, sizeof(double) * n), b[i] = 0;
        for (int i = 0; i < p->nq; i++) weight[i] = p->cost.each[i] * scale;
        for (int r = 0; r < p->nrows; r++) {
            double c = r < p->ntimes ? price * scale : 1;
            memset(rows[r], 0, sizeof(double) * n);
            for (int i = 0; i < p->nq; i++) {
                double each = p->row[r].each[i] * c;
                if (!each) continue;
                weight[i] += p->m[r] * each;
                for (int k = 0; k < p->q[i].n; k++) rows[r][p->q[i].x[k]] += each * p->q[i].value * p->q[i].sign[k];
            }
            if (r < p->ntimes) rows[r][M] = -1;
        }
        for (int i = 0; i < p->nq; i++) {
            const Monomial *m = &p->q[i];
            double v = weight[i] * m->value, cost = p->cost.each[i] * scale * m->value;
            for (int k = 0; k < m->n; k++) {
                b[m->x[k]] -= m->sign[k] * cost;
                for (int l = 0; l < m->n; l++) p->h[m->x[k]][m->x[l]] += v * m->sign[k] * m->sign[l];
            }
        }
        b[M] -= 1;
        double gap = 0;
        int pairs = 0;
        EACH(r) gap += p->m[r] * p->slack[r], pairs++;
        for (int v = 0; v < M; v++) gap += p->below[v] * (p->x[v] - p->low[v]) + p->above[v] * (p->high[v] - p->x[v]), pairs += 2;
        mu = 0.1 * gap / pairs;
        EACH(r) {
            double d = p->m[r] / p->slack[r], to = mu / p->slack[r] + d * (g[r] + p->slack[r]);
            if (r < MAXH) {
                for (int i = 0; i < n; i++) {
                    if (!rows[r][i]) continue;
                    b[i] -= to * rows[r][i];
                    for (int k = 0; k <= i; k++) p->h[i][k] += d * rows[r][i] * rows[r][k];
                }
                continue;
            }
            const Plane *plane = &p->plane[r - MAXH];
            for (int k = 0; k < plane->n; k++) {
                b[plane->x[k]] -= to * plane->sign[k];
                for (int l = 0; l < plane->n; l++) p->h[plane->x[k]][plane->x[l]] += d * plane->sign[k] * plane->sign[l];
            }
        }
        for (int v = 0; v < M; v++) {
            double x = p->x[v] - p->low[v], y = p->high[v] - p->x[v];
            p->h[v][v] += p->below[v] / x + p->above[v] / y + 1e-9;
            b[v] += mu / x - mu / y;
        }
        p->h[M][M] += 1e-9;
        solve_symmetric(p->h, n, b);
        /* how far */
        double primal = 1, dual = 1, change[MAXH + MAXI], other[MAXH + MAXI];
        for (int v = 0; v < M; v++) {
            double x = p->x[v] - p->low[v], y = p->high[v] - p->x[v];
            primal = smaller(primal, smaller(largest_step(x, b[v]), largest_step(y, -b[v])));
            dual = smaller(dual, largest_step(p->below[v], mu / x - p->below[v] - p->below[v] / x * b[v]));
            dual = smaller(dual, largest_step(p->above[v], mu / y - p->above[v] + p->above[v] / y * b[v]));
        }
        EACH(r) {
            double along = 0;
            if (r < MAXH)
                for (int i = 0; i < n; i++) along += rows[r][i] * b[i];
            else
                for (int k = 0; k < p->plane[r - MAXH].n; k++) along += p->plane[r - MAXH].sign[k] * b[p->plane[r - MAXH].x[k]];
            change[r] = -(g[r] + p->slack[r]) - along;
            other[r] = mu / p->slack[r] - p->m[r] - p->m[r] / p->slack[r] * change[r];
            primal = smaller(primal, largest_step(p->slack[r], change[r]));
            dual = smaller(dual, largest_step(p->m[r], other[r]));
        }
        for (int v = 0; v < M; v++) {
            double x = p->x[v] - p->low[v], y = p->high[v] - p->x[v];
            double more = mu / x - p->below[v] - p->below[v] / x * b[v], less = mu / y - p->above[v] + p->above[v] / y * b[v];
            p->below[v] += dual * more;
            p->above[v] += dual * less;
            p->x[v] += primal * b[v];
        }
        p->x[M] += primal * b[M];
        EACH(r) p->slack[r] += primal * change[r], p->m[r] += dual * other[r];
        evaluate(p);
        double bound = tangent(p, scale, price);
        if (!(bound > -INFINITY)) break; /* not a number */
        if (bound > best) {
            best = bound;
            memcpy(p->slope, p->g, sizeof p->slope);
        }
        if (best > 1 || gap < 4e-3) break;
    }
    return best;
}

/* What the tangent says of each count and each trip; whether something changes. `slack`: how much dearer a box may become. */
static int limit_variable(const Program *p, int v, double slack, int *low, int *high) {
    if (v < 0 || *low == *high) return 0;
    double g = p->slope[v];
    if (g > 1e-9) return lower(high, exp(p->low[v] + slack / g) * (1 + 1e-9));
    if (g < -1e-9) return raise(low, exp(p->high[v] + slack / g) * (1 - 1e-9));
    return 0;
}

static int limit_variables(const Program *p, const Boxes *q, Box *box, double slack) {
    int changed = 0;
    for (int d = 0; d < q->s->D; d++) {
        for (int i = 0; i < q->form[d].ncounts; i++)
            changed |= limit_variable(p, p->count[d][i], slack, &box->low[d][i], &box->high[d][i]) << d;
        for (int a = 0; a < q->s->A; a++)
            changed |= limit_variable(p, p->trips[d][a], slack, &box->least[d][a], &box->most[d][a]) << d;
    }
    return changed;
}

static int empty_box(const Boxes *q, const Box *box) {
    for (int d = 0; d < q->s->D; d++) {
        for (int i = 0; i < q->form[d].ncounts; i++)
            if (box->low[d][i] > box->high[d][i]) return 1;
        for (int a = 0; a < q->s->A; a++)
            if (box->least[d][a] > box->most[d][a]) return 1;
    }
    return 0;
}

/* How much dearer a box becomes if a variable is moved by one, by half the curvature of the last step. */
static void curvatures(const Program *p, double *half) {
    int n = p->n + 1;
    double y[MAXX];
    for (int v = 0; v < p->n; v++) {
        double sum = 0;
        memset(y, 0, sizeof(double) * n);
        y[v] = 1;
        for (int i = v; i < n; i++) {
            if (!y[i]) continue;
            y[i] /= p->h[i][i];
            sum += y[i] * y[i];
            for (int l = i + 1; l < n; l++) y[l] -= p->h[i][l] * y[i];
        }
        half[v] = 0.5 / sum;
    }
}

/* What halves a box best: a value that a count or trips should not take; how much dearer both halves become. */
static double least_likely(const Program *p, int v, const double *half, double slack, int low, int high, int *at) {
    if (v < 0 || low == high) return 0;
    double x = p->x[v], c = exp(x);
    int f = (int)floor(c + 1e-3);
    if (f < low) f = low;
    if (f >= high) f = high - 1;
    double less = larger(0, x - log(f)), more = larger(0, log(f + 1) - x);
    double a = smaller(slack, less * less * half[v]), b = smaller(slack, more * more * half[v]);
    *at = f;
    return (a + 0.01 * slack) * (b + 0.01 * slack);
}

static double best_split(const Program *p, const Boxes *q, Box *box, double slack, int *dim, int **low, int **high, int *at) {
    double half[MAXX], most = 0;
    int f;
    curvatures(p, half);
    for (int d = 0; d < q->s->D; d++) {
        const Form *form = &q->form[d];
        for (int i = 0; i < form->ncounts; i++) {
            double score = least_likely(p, p->count[d][i], half, slack, box->low[d][i], box->high[d][i], &f);
            if (score > most) most = score, *dim = d, *low = &box->low[d][i], *high = &box->high[d][i], *at = f;
        }
        for (int a = 0; a < q->s->A; a++) {
            double score = least_likely(p, p->trips[d][a], half, slack, box->least[d][a], box->most[d][a], &f);
            if (score > most) most = score, *dim = d, *low = &box->least[d][a], *high = &box->most[d][a], *at = f;
        }
    }
    return most;
}
