/* ---- a box as a geometric program: its variables, and the terms of the cost and tiles as sums of monomials ----
 *
 * In the logarithms of counts and trips, a monomial is the exponential of a sum, so convex. A program has what is minimised, the
 * sums that cycles are no fewer than and rooms that are not to be exceeded (rows.h), and what is linear (planes.h).
 */

enum { MAXQ = 192, MAXE = 40, MAXI = 1024, MAXK = MAXH + MAXI + 2 * MAXX };

typedef struct {
    double c;
    int n, x[MAXE];
    double sign[MAXE];
} Monomial;

typedef struct {
    double most; /* the sum is so much at most */
    int number; /* the same in all boxes of a plan */
    int next; /* another one that begins with the same variable, or -1 */
    int n, x[MAXA + 4];
    double sign[MAXA + 4];
} Plane;

/* What is at least zero, or at most: a constant and a sum of monomials. */
typedef struct {
    double constant, each[MAXQ];
} Sum;

typedef struct Program {
    int full;                    /* the box does not fit in here */
    int n;                       /* variables; cycles are another one, the last */
    int count[MAXD][MAXV], trips[MAXD][MAXA]; /* which variables they are */
    double least[MAXX];          /* the lower limits as numbers */
    double low[MAXX], high[MAXX], x[MAXX];    /* limits, and the point */
    int nq, first[MAXJ + 1], tile[MAXM + 1];
    Monomial q[MAXQ];
    double value[MAXQ];          /* of monomials, at the point */
    double zlow[MAXJ];           /* what each term is at least */
    double most, scale;          /* what is too much, by which costs are scaled; of the sum that is minimised */
    double price;                /* of cycles there */
    double chord, fewest, slowest; /* of products: what the price has beside, and between which cycles; 0: nothing */
    int ntimes, nrows;           /* rows: cycles that are taken, then rooms that are filled */
    Sum cost, row[MAXH];
    int asked, nplanes;          /* how many planes there might be, and are */
    int begin[MAXX];             /* by variable, a plane that begins with it, or -1 */
    Plane plane[MAXI];
    double multiplier[MAXK], slack[MAXK]; /* see interior.h */
    /* the gradients of the rows, then the Hessian of the Lagrangian, with the barriers; its factor, and one by the pivots */
    double h[MAXH + MAXX][MAXX], one[MAXH + MAXX];
    double inverse[MAXX][MAXX];  /* of the factor */
    const double *hint;          /* the multipliers to begin with, or NULL; see hints.h */
    int nhints, noted;
    double notedx[MAXX], pressure[MAXH + MAXI]; /* a point, and the multipliers of rows and planes there */
    double g[MAXX];              /* the gradient of the Lagrangian */
    double slope[MAXX];          /* the same of the best bound */
} Program;

static int variable(Program *p, int low, int high) {
    if (p->n == MAXX - 2) return p->full = 1, -1;
    p->least[p->n] = larger(1, low);
    p->low[p->n] = log(larger(1, low));
    p->high[p->n] = high > low ? log(larger(1, high)) : p->low[p->n];
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

static void make_variables(Program *p, const Boxes *q, const Box *box) {
    p->n = 0;
    name_variables(p, q, box, 1);
    int n = p->n;
    name_variables(p, q, box, 0);
    p->n = n;
}

static int monomial(Program *p, double c) {
    if (p->nq == MAXQ) return p->full = 1, MAXQ - 1;
    p->q[p->nq].c = c;
    p->q[p->nq].n = 0;
    return p->nq++;
}

static void times(Program *p, int q, int x, int sign) {
    Monomial *m = &p->q[q];
    if (p->low[x] == p->high[x]) return (void)(m->c *= sign > 0 ? p->least[x] : 1 / p->least[x]);
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

/* The words of a tile of a mark in the window of its outer dim. */
static void times_window_tile(Program *p, const Boxes *q, const Box *box, int first, int m, int outer) {
    const Form *form = &q->form[outer];
    int at = q->t->nterms + m, n = p->count[outer][form->of[at]], inner = form->win->dim[1];
    if (form->words[m] >= 0 || form->runs[m] >= 0) return times_sum(p, first, window_tile(q, box, m, outer), -1, 0, -1);
    if (inner < 0) return times_sum(p, first, 1, n, 0, -1);
    int r = q->form[inner].of[at];
    double b = box->low[inner][r], k = smaller(b, box->low[inner][q->form[inner].residues[m]]);
    times_sum(p, first, k, n, 1 - k / b, p->count[inner][r]);
}

static void make_tiles(Program *p, const Boxes *q, const Box *box) {
    const Setting *t = q->t;
    for (int m = 0; m < t->nmarks; m++) {
        int first = p->tile[m] = p->nq;
        monomial(p, 1);
        for (int d = 0; d < q->s->D; d++) {
            int i = q->form[d].of[t->nterms + m];
            if (i < 0) continue;
            if (q->s->class[t->operand[m]][d] != WINDOW) {
                for (int k = first; k < p->nq; k++) times(p, k, p->count[d][i], 1);
            } else if (!q->form[d].inner)
                times_window_tile(p, q, box, first, m, d);
        }
    }
    p->tile[t->nmarks] = p->nq;
}

/* The monomials at the point. */
static void evaluate(Program *p) {
    for (int i = 0; i < p->nq; i++) {
        const Monomial *m = &p->q[i];
        double sum = 0;
        for (int k = 0; k < m->n; k++) sum += m->sign[k] * p->x[m->x[k]];
        p->value[i] = m->c * exp(sum);
    }
}

static double value_of(const Program *p, const Sum *sum) { return sum->constant + inner_product(sum->each, p->value, p->nq); }

/* By how much a plane is exceeded. */
static double height(const Program *p, const Plane *plane) {
    double sum = -plane->most;
    for (int k = 0; k < plane->n; k++) sum += plane->sign[k] * p->x[plane->x[k]];
    return sum;
}
