/* ---- tiles of a window at the border: they lack what is outside, where padding is free ----
 *
 * With k residues and R indices of the inner dim, a tile of `a` outer and all inner indices has `k (a - 1) + R` words and
 * more but for those outside. A count of the outer dim says how many words the largest such tile has: see docs/search.md.
 */

static int up(int64_t n, int64_t d) { return (int)((n + d - 1) / d); }

static int most_of(int a, int b) { return a > b ? a : b; }

/* The words, those outside included, that a tile of so many outer and all inner indices has at least. */
static int with_outside(const Win *x, int digits) { return x->alike * (digits - 1) + x->inner; }

/* The words of so many neighbours with the inner indices from one up to another. */
static int words_of_part(const Win *x, int first, int digits, int from, int to) {
    int words = 0;
    for (int r = from; r < from + x->modulus && r < to; r++) {
        int n = digits + (to - 1 - r) / x->modulus; /* indices of a residue, in steps of the outer coefficient */
        int64_t low = x->offset + (int64_t)x->step[0] * first + (int64_t)x->step[1] * r, high = low + (int64_t)x->step[0] * (n - 1);
        int below = low < 0 ? up(-low, x->step[0]) : 0, above = high < x->size ? 0 : (int)((high - x->size) / x->step[0]) + 1;
        words += n > below + above ? n - below - above : 0;
    }
    return words;
}

static int words_of_run(const Win *x, int first, int digits) { return words_of_part(x, first, digits, 0, x->inner); }

/* Whether some index of an outer one is outside, on the side given. */
static int beyond(const Win *x, int outer, int high) {
    int64_t index = x->offset + (int64_t)x->step[0] * outer;
    return high ? index + (int64_t)x->step[1] * (x->inner - 1) >= x->size : index < 0;
}

static int outside_of(const Win *x) { return (int)(x->touched[1] - x->touched[0]); }

/* What is known of the words of a tile of outer indices with all of the inner dim: all of them, if those are neighbours. Of others
 * with indices outside on one side, the neighbours of the outermost have no more; with some on both sides, one word is added, at least
 * where windows overlap.
 */
static int words_of_set(const Win *x, int first, int last, int digits) {
    int low = beyond(x, first, 0), high = beyond(x, last, 1), all = with_outside(x, digits);
    if (!low && !high) return all;
    if (x->step[0] % x->step[1]) return all - outside_of(x);
    if (last - first + 1 == digits || !high) return words_of_run(x, first, digits);
    if (!low) return words_of_run(x, last - digits + 1, digits);
    int size = last - first + 1; /* as many are outside at most */
    return all - (with_outside(x, size) - words_of_run(x, first, size)) + x->both;
}

/* The same without the first of the inner indices, the last, or one between, of those that are not alone of their residue. */
static int words_without(const Win *x, int first, int last, int digits, int which) {
    int all = words_of_set(x, first, last, digits);
    if (x->step[0] % x->step[1] || last - first + 1 > digits) return all - 1;
    if (which == 1) return all - (digits == 1 || x->alike > 1);
    return words_of_part(x, first, digits, which == 0, x->inner - (which == 2));
}

/* Whether neighbours share words that are outside. */
static int shared_outside(const Win *x) { return x->outside && x->step[0] % x->step[1] == 0 && (x->low > 1 || x->high > 1); }

/* The outer indices that a given inner one takes outside. */
static int outer_outside(const S *s, const Win *x, int inner, int high) {
    int n = 0;
    for (int p = 0; p < s->bound[x->dim[0]]; p++) {
        int64_t index = x->offset + (int64_t)x->step[0] * p + (int64_t)x->step[1] * inner;
        n += high ? index >= x->size : index < 0;
    }
    return n;
}

/* What tiles of so many outer indices, or more, have at least. */
static void measure_borders(const S *s, Win *x) {
    int all = s->bound[x->dim[0]], low = 0, high = 0; /* outer indices with some outside */
    x->inner = x->dim[1] < 0 ? 1 : s->bound[x->dim[1]];
    x->alike = x->modulus < x->inner ? x->modulus : x->inner;
    while (low < all && beyond(x, low, 0)) low++;
    while (high < all && beyond(x, all - 1 - high, 1)) high++;
    x->low = low, x->high = high;
    x->both = low && high && x->inner > x->alike;
    for (int side = 0; side < 2; side++) {
        x->beyond[side] = malloc(sizeof(int) * x->inner);
        for (int r = 0; r < x->inner; r++) x->beyond[side][r] = outer_outside(s, x, r, side);
    }
    x->one = all; /* points outside of the inner index that has fewest */
    for (int r = 0; r < x->inner; r++) {
        int outside = 0;
        for (int p = 0; p < all; p++) {
            int64_t index = x->offset + (int64_t)x->step[0] * p + (int64_t)x->step[1] * r;
            outside += index < 0 || index >= x->size;
        }
        if (outside < x->one) x->one = outside;
    }
    x->least = malloc(sizeof(int) * (all + 2));
    x->least[all] = x->least[all + 1] = x->touched[0] > 1 ? (int)x->touched[0] : 1;
    for (int a = all - 1; a > 0; a--) {
        int least = x->least[a + 1], apart = with_outside(x, a) - outside_of(x) + x->both;
        if (apart < least && (x->step[0] % x->step[1] || (low && high && a > 1))) least = apart;
        for (int first = 0; first + a <= all; first++) {
            int words = words_of_set(x, first, first + a - 1, a);
            if (words < least) least = words;
            if (first == low && all - a - high > first) first = all - a - high - 1; /* between, nothing is outside */
        }
        x->least[a] = least > 1 ? least : 1;
    }
}

/* The words of the largest tile with all of the inner dim, with all but one of all residues, and with each run for itself; 0 where they
 * are not counted.
 */
typedef struct {
    int words, fewer, apart;
    int runs; /* of the outer indices, no two of which share words */
} Border;

/* The words of the largest tile at least. */
static double tile_of(const Win *x, Border border, double outer, double inner, double residues) {
    double all = residues * (outer - border.runs) + inner * border.runs;
    int words = border.words;
    if (!words || inner == x->inner) return words ? most_of(words, border.apart) : all;
    double least = larger(1, larger(outer - x->one, all - outside_of(x)));
    if (residues == x->alike && inner == x->inner - 1) least = larger(least, border.fewer);
    if (x->both && inner <= residues) return smaller(words, least);
    double digits = floor((double)(words - x->inner) / x->alike) + 1; /* that nothing is missing of */
    if (residues == x->alike) least = larger(least, words - x->inner + inner);
    if (digits >= 1) least = larger(least, residues * (digits - 1 - (x->both && x->alike > 1)) + inner);
    return smaller(words, least);
}

/* The most outer indices in a tile of so many words. */
static int most_inside(const Win *x, int all, double words) {
    int few = 0, many = all;
    while (few < many) {
        int a = (few + many + 1) / 2;
        if (x->least[a] <= words) few = a;
        else many = a - 1;
    }
    return few;
}
