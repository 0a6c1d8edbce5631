/* ---- identical tiles of windows, which instances share ----
 *
 * The digits of a dim are fixed for a transfer, or those of instances that share identical tiles, or free. Neighbouring digits of one use
 * are a part; the parts of a dim, from outside in, are its shape. Where the fixed digits stand outside and all others are free, it is the
 * index of its tile among the divisors, as elsewhere; any other one has the use and the extent inside of each part packed into
 * an integer. What words two shapes make is counted, and remembered.
 */
enum { OF_EVENTS = 0, SHARED, INSIDE, PARTS = 4, OTHER = 1 << 29 };

typedef struct {
    int n, use[PARTS + 1], trips[PARTS + 1], extent[PARTS + 1];
} Shape;

typedef struct Counted {
    int room, n;
    int64_t *key; /* one more; 0: none */
    double *words;
} Counted;

static void add_part(Shape *x, int *extent, int trips, int use) {
    if (trips == 1) return;
    *extent /= trips;
    if (x->n && x->use[x->n - 1] == use) x->n--, trips *= x->trips[x->n];
    x->use[x->n] = use, x->trips[x->n] = trips, x->extent[x->n++] = *extent;
}

static int packed(const S *s, int dim, const Shape *x) {
    int code = 0;
    if (!x->n) return 0;
    if (x->n == 1 && x->use[0] != SHARED) return x->use[0] == INSIDE ? s->ndiv[dim] - 1 : 0;
    if (x->n == 2 && x->use[0] == OF_EVENTS && x->use[1] == INSIDE) return s->divindex[dim][x->extent[0]];
    for (int i = 0; i + 1 < x->n; i++) code = code << 9 | x->use[i] << 7 | s->divindex[dim][x->extent[i]];
    return OTHER | code << 2 | x->use[x->n - 1];
}

static void add_outermost(Shape *x, int trips, int use, int extent) {
    x->use[x->n] = use, x->trips[x->n] = trips, x->extent[x->n++] = extent;
}

/* The parts, innermost first. */
static void unpack(const S *s, int dim, int code, Shape *x) {
    int extent = 1, tile;
    x->n = 0;
    if (!(code & OTHER)) {
        tile = s->div[dim][code];
        add_outermost(x, tile, INSIDE, 1);
        add_outermost(x, s->bound[dim] / tile, OF_EVENTS, tile);
        return;
    }
    int use = code & 3;
    for (code = (code ^ OTHER) >> 2; code; code >>= 9) {
        int next = s->div[dim][code & 127];
        add_outermost(x, next / extent, use, extent);
        use = code >> 7 & 3, extent = next;
    }
    add_outermost(x, s->bound[dim] / extent, use, extent);
}

/* The index of the contiguous tile that has as many digits as are free or shared. */
static int contiguous_tile(const S *s, int dim, int code) {
    Shape x;
    int n = 1;
    if (!(code & OTHER)) return code;
    unpack(s, dim, code, &x);
    for (int i = 0; i < x.n; i++)
        if (x.use[i] != OF_EVENTS) n *= x.trips[i];
    return s->divindex[dim][n];
}

/* Adds what the digits of one use of a dim may be, times the step of the window, to each of `n` sums; returns how many there are then. */
static int spread_sums(const Shape *x, int use, int64_t step, int64_t *sum, int n) {
    for (int i = 0; i < x->n; i++) {
        if (x->use[i] != use) continue;
        int before = n;
        for (int k = 1; k < x->trips[i]; k++)
            for (int j = 0; j < before; j++) sum[n++] = sum[j] + k * step * x->extent[i];
    }
    return n;
}

/* The sums of the digits of one use of both dims, in order; returns how many there are, each counted once if asked. */
static int sums_of(const Win *w, const Shape *x, int use, int distinct, int64_t *sum) {
    int n = 1, kept = 1;
    sum[0] = 0;
    for (int d = 0; d < 2; d++) n = spread_sums(&x[d], use, w->step[d], sum, n);
    if (!distinct) return n;
    Ranked *order = malloc(sizeof(Ranked) * n);
    for (int i = 0; i < n; i++) order[i] = (Ranked){(double)sum[i], i};
    qsort(order, n, sizeof *order, by_key);
    sum[0] = (int64_t)order[0].key;
    for (int i = 1; i < n; i++)
        if ((int64_t)order[i].key != sum[kept - 1]) sum[kept++] = (int64_t)order[i].key;
    free(order);
    return kept;
}

/* How many of the words of a tile, which are in order, are below a limit. */
static int below(const int64_t *word, int n, int64_t limit) {
    int low = 0;
    while (n > 0) {
        int half = n / 2;
        if (word[low + half] < limit) low += half + 1, n -= half + 1;
        else n = half;
    }
    return low;
}

/* A tile that the ends of the axis cut: its corner, and which of its words are left. */
typedef struct {
    int64_t corner;
    int first, last;
} Clipped;

static int same_words(const int64_t *word, const Clipped *x, const Clipped *y) {
    if (x->last - x->first != y->last - y->first) return 0;
    for (int i = x->first, k = y->first; i < x->last; i++, k++)
        if (x->corner + word[i] != y->corner + word[k]) return 0;
    return 1;
}

/* The words of all tiles, or of the largest one: for each combination of fixed digits, of each set of words once that instances want. */
static double count_words(const Win *w, const Shape *x, int padding, int largest) {
    int points = 1;
    for (int d = 0; d < 2; d++)
        for (int i = 0; i < x[d].n; i++) points *= x[d].trips[i];
    int64_t *word = malloc(sizeof(int64_t) * points), *apart = malloc(sizeof(int64_t) * points), *event = malloc(sizeof(int64_t) * points);
    int words = sums_of(w, x, INSIDE, 1, word), tiles = sums_of(w, x, SHARED, 1, apart), events = sums_of(w, x, OF_EVENTS, 0, event);
    Clipped *cut = malloc(sizeof(Clipped) * tiles);
    double all = 0, most = 0;
    for (int e = 0; e < events; e++) {
        int cuts = 0;
        for (int i = 0; i < tiles; i++) {
            Clipped *now = &cut[cuts];
            now->corner = w->offset + event[e] + apart[i], now->first = 0, now->last = words;
            if (!padding) now->first = below(word, words, -now->corner), now->last = below(word, words, w->size - now->corner);
            int left = now->last - now->first, known = 0;
            most = larger(most, left);
            if (left < words)
                for (int k = 0; k < cuts && !known; k++) known = same_words(word, &cut[k], now);
            if (left < words && !known) cuts++;
            if (!known) all += left;
        }
    }
    free(word);
    free(apart);
    free(event);
    free(cut);
    return largest ? most : all;
}

static int place_of(const Counted *x, int64_t key) {
    int at = (int)((key ^ key >> 21 ^ key >> 42) % x->room);
    while (x->key[at] && x->key[at] != key) at = (at + 1) % x->room;
    return at;
}

static void rehash(Counted *x) {
    Counted old = *x;
    x->room = 2 * old.room + 1021;
    x->key = calloc(x->room, sizeof(int64_t));
    x->words = malloc(sizeof(double) * x->room);
    for (int i = 0; i < old.room; i++)
        if (old.key[i]) {
            int at = place_of(x, old.key[i]);
            x->key[at] = old.key[i], x->words[at] = old.words[i];
        }
    free(old.key);
    free(old.words);
}

/* The words that tiles of two shapes have; of a window of one dim the second one is 0. */
static double shaped_words(const S *s, const Win *w, int a, int b, int padding, int largest) {
    Counted *known = w->counted;
    int64_t key = (((int64_t)a << 30 | b) << 2 | padding << 1 | largest) + 1;
    if (2 * known->n >= known->room) rehash(known);
    int at = place_of(known, key);
    if (known->key[at]) return known->words[at];
    Shape x[2];
    memset(x, 0, sizeof x);
    unpack(s, w->dim[0], a, &x[0]);
    if (w->dim[1] >= 0) unpack(s, w->dim[1], b, &x[1]);
    known->key[at] = key, known->n++;
    return known->words[at] = count_words(w, x, padding, largest);
}

static void forget_counted(Win *w) {
    if (!w->counted) return;
    free(w->counted->key);
    free(w->counted->words);
    free(w->counted);
}
