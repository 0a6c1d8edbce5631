/* ---- bundles: rows that are left out together ----
 *
 * What all of a bundle have at least in each column decides for all of them, as for one row.
 */

#ifndef BUNDLED
#define BUNDLED 8 /* rows that are not parted; tests part them all */
#endif

enum { ALONE = 2 }; /* rows that are looked at one by one at once */

static double *least_in(const Search *q, int depth, int at) { return q->hull[depth] + (size_t)at * 2 * q->W; }

static double *most_in(const Search *q, int depth, int at) { return least_in(q, depth, at) + q->W; }

/* Why what has been chosen fits with none of what has so much at least, and so much at most, or costs too much. */
static int unfit(const Search *q, const double *x, const double *low, const double *high) {
    if (!fits(q, x, low)) return LARGE;
    return hopeful(q, cost_up_to(q, x, low, high, q->s->best)) ? FINE : COSTLY;
}

static int new_bundle(Search *q, int depth, int first, int n) {
    int at = q->nbundles[depth]++;
    if (at == q->cbundles[depth]) {
        q->cbundles[depth] = 2 * at + 16;
        q->bundle[depth] = realloc(q->bundle[depth], sizeof(Bundle) * q->cbundles[depth]);
        q->hull[depth] = realloc(q->hull[depth], sizeof(double) * 2 * q->W * q->cbundles[depth]);
    }
    Bundle b = {first, n, {-1, -1}, INT_MAX, 0};
    for (int i = first; i < first + n; i++) {
        int row = q->row[depth][i];
        if (row < b.least) b.least = row;
        if (row > b.most) b.most = row;
    }
    q->bundle[depth][at] = b;
    return at;
}

/* The column in which rows differ by the largest factor, or -1. */
static int widest_column(const Search *q, const double *low, const double *high) {
    int column = -1;
    for (int k = 0; k < q->W; k++)
        if (high[k] > low[k] && (column < 0 || high[k] * low[column] > high[column] * low[k])) column = k;
    return column;
}

/* Parts rows, in their order, by whether a column is above a value, as it is in the first one or not; returns how many are alike. */
static int part(Search *q, int depth, int first, int n, int column, double value) {
    int *row = q->row[depth] + first, alike = 0, rest = 0;
    double *bound = q->bound[depth] + first;
    int *other = malloc(sizeof(int) * n), above = rowp(q, depth, row[0])[column] > value;
    double *others = malloc(sizeof(double) * n);
    for (int i = 0; i < n; i++) {
        if ((rowp(q, depth, row[i])[column] > value) != above) {
            other[rest] = row[i];
            others[rest++] = bound[i];
            continue;
        }
        row[alike] = row[i];
        bound[alike++] = bound[i];
    }
    memcpy(row + alike, other, sizeof(int) * rest);
    memcpy(bound + alike, others, sizeof(double) * rest);
    free(other);
    free(others);
    return alike;
}

/* Makes a bundle of rows, and of those in it, down to a few; the groups that count with them have so much at least and at most. */
static int bundle(Search *q, int depth, int first, int n, const double *low, const double *high) {
    int at = new_bundle(q, depth, first, n);
    double least[WIDTH], most[WIDTH];
    extremes_of(q, depth, first, n, least, most);
    int column = n > BUNDLED ? widest_column(q, least, most) : -1;
    if (column >= 0) {
        int alike = part(q, depth, first, n, column, (least[column] + most[column]) / 2);
        int one = bundle(q, depth, first, alike, low, high);
        int other = bundle(q, depth, first + alike, n - alike, low, high);
        q->bundle[depth][at].inner[0] = one;
        q->bundle[depth][at].inner[1] = other;
    }
    multiply(q, least, low, least_in(q, depth, at));
    multiply(q, most, high, most_in(q, depth, at));
    return at;
}

/* Of each depth the one before that has the same table; none where costs are no exact sums, each schedule is judged, or any one will do. */
static void find_twins(Search *q) {
    int none = !steady(q->s) || q->s->judge || any_will_do(q);
    for (int d = 0; d < q->G; d++) {
        q->twin[d] = none ? -1 : d - 1;
        while (q->twin[d] >= 0 && q->p->table[q->order[d]] != q->p->table[q->order[q->twin[d]]]) q->twin[d]--;
    }
}

/* Whether rows with such numbers only make combinations of which others come first, with the rows of two groups that have one
 * table exchanged: these cost as much.
 */
static int mirrored(const Search *q, int depth, int least, int most) {
    int d = q->twin[depth];
    if (d < 0) return 0;
    return q->order[d] < q->order[depth] ? most < q->chosen[d] : least > q->chosen[d];
}

/* Ties the rows of a depth into bundles. */
static void tie(Search *q, int depth, const double *low, const double *high) {
    q->nbundles[depth] = 0;
    bundle(q, depth, 0, q->n[depth], low, high);
}
