/* ---- windows in the whole space ----
 *
 * The index is `outer dim + inner dim`, each times its coefficient. Inner indices fall into residues: those of one residue
 * move the index by multiples of the outer coefficient. Of tiles A of outer and B of inner indices, with k residues in B,
 * k |A| + |B| - k words are touched at least, and just as many where the indices of A, and those of each residue, are
 * neighbours. So over all tiles it is `residues x outer bound + (inner bound - residues) x pieces`, with the pieces that
 * the outer dim is cut into and the residues of the pieces of the inner one.
 */

/* What is counted of a dim: digits, or of a window the pieces of the outer dim, or the residues of the inner one; one, or two
 * if not all tiles are of neighbours; the runs of the largest tile of the outer dim that share no words; the words of the largest tile of the outer dim with all of the inner
 * one, those of each of its runs; the same as if these were neighbours, and with all but one, of all residues, whichever that is; what lies outside,
 * see borders.h.
 */
enum { DIGITS = 0, PIECES, RESIDUES, SCATTER, RUNS, APART, WORDS, FEWER, BORDER };

typedef struct {
    short tile;     /* of a tile: digits inside the boundary and on axes that are not fixed; else of events */
    short boundary; /* slots outside */
    short axes;     /* fixed (of a tile) or counted (of events), as bits */
    short what;
    short until;    /* from the boundary to this one, loops sweep: a window slides along them */
    short united;   /* where loops sweep: axes that stay outside the tile of one instance, and do not count */
} Count;

static int outer_bound(const S *s, const Win *x) { return s->bound[x->dim[0]]; }

static int inner_bound(const S *s, const Win *x) { return x->dim[1] < 0 ? 1 : s->bound[x->dim[1]]; }

static int least_residues(const S *s, const Win *x) {
    int n = inner_bound(s, x);
    return x->modulus < n ? x->modulus : n;
}

/* Pieces, or residues: what a sweep leaves of them, and all. Each instance keeps words of its own only: where instances that
 * one read serves have a part of the tile each, every step of a sweep brings a new word to each of them.
 */
typedef struct {
    double left, all, border;
} Cuts;

/* The words of all tiles at least. */
static double words_of(const S *s, const Win *x, int padding, Cuts outer, Cuts inner) {
    double P = outer_bound(s, x), R = inner_bound(s, x), words = inner.left * P + (R - inner.left) * outer.left;
    double anew = larger(0, inner.all - inner.left) * larger(0, outer.all - outer.left);
    if (padding || !x->outside) return larger(x->touched[padding], words + anew);
    words += anew - x->outside;
    if (!anew && outer.border > 1) {
        double k = least_residues(s, x), alone = k * P + (R - k) * outer.left - x->outside + outer.border - 1;
        double apart = inner.left > k ? x->outside + 1 - inner.border : 0;
        words = larger(alone, words + larger(0, outer.border - 1 - apart));
    }
    return larger(x->touched[0], words);
}

/* The most pieces and residues with no more words, at least so many of them being given. */
static void most_cuts(const S *s, const Win *x, int padding, double words, Cuts outer, Cuts inner, Cuts most[2]) {
    double P = outer_bound(s, x), R = inner_bound(s, x), p = outer.left, r = inner.left;
    words += padding ? 0 : x->outside;
    most[0].left = R > r ? (words - r * P) / (R - r) : INFINITY;
    most[1].left = P > p ? (words - p * R) / (P - p) : INFINITY;
    words -= r * P + (R - r) * p;
    most[0].all = inner.all > r ? words / (inner.all - r) + p : INFINITY;
    most[1].all = outer.all > p ? words / (outer.all - p) + r : INFINITY;
}

/* The dims that sweep: of a window that slides at a mark, and the segment where the loops begin along which it does; other
 * dims have no loops from there to the mark.
 */
typedef struct {
    int dim[MAXM]; /* by mark: one more than the dim, or 0 */
    int start[MAXM];
} Sweeps;

/* The segments where a dim may not stand. */
static int closed_segments(const Setting *t, const int *order, const Sweeps *w, int dim) {
    int closed = 0;
    for (int i = 0; i < t->nmarks; i++)
        if (w->dim[order[i]] && w->dim[order[i]] != dim + 1) closed |= (2 << i) - (2 << w->start[order[i]]);
    return closed;
}

/* The segments where a dim sweeps. */
static int swept_segments(const Setting *t, const int *order, const Sweeps *w, int dim) {
    int swept = 0;
    for (int i = 0; i < t->nmarks; i++)
        if (w->dim[order[i]] == dim + 1) swept |= (2 << i) - (1 << w->start[order[i]]);
    return swept;
}

/* The slots outside a segment. */
static int slots_before(const Slots *slots, int segment) {
    int n = 0;
    while (n < slots->nslots && slots->segment[n] < segment) n++;
    return n;
}

/* Whether a window slides at a mark. */
static int slides(const Setting *t, int mark) {
    for (int j = 0; j < t->nterms; j++)
        if (t->term[j].mark == mark && t->term[j].slide) return 1;
    return 0;
}
