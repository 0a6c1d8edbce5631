/* ---- what the loops of a chain make of its counts ---- */

typedef struct {
    int D, n;                   /* the bound of the dim; its loops, inside out */
    const int *station, *step;  /* a slot, or AXIS + an axis */
} Chain;

enum { AXIS = 32 };

/* Valid combinations of the digits in `counted` of the innermost `n` loops on an extent, all others being zero; `full`: those that
 * each loop has inside one step.
 */
static int digits_on(const int *loop, int n, int extent, unsigned counted, const int *full) {
    int total = 1;
    for (int i = n - 1; i >= 0; i--) {
        int step = loop[i];
        if (extent <= step) continue;
        if (!(counted >> i & 1)) {
            extent = step;
            continue;
        }
        int whole = (extent - 1) / step; /* steps before the last one */
        total += whole * full[i];
        extent -= whole * step;
    }
    return total;
}

static int valid_digits(const int *loop, int n, int extent, unsigned counted) {
    int full[MAXL + 1];
    counted &= (1u << n) - 1;
    if (!counted) return 1;
    for (int i = 0; i < n && counted >> i; i++)
        if (counted >> i & 1) full[i] = digits_on(loop, i, loop[i], counted, full);
    return digits_on(loop, n, extent, counted, full);
}

/* The loops among the innermost `n` that a count has: in time those inside (or outside) its boundary, and axes. */
static unsigned loops_in(const int *station, int n, int boundary, int inner, int axes) {
    unsigned bits = 0;
    for (int i = 0; i < n; i++) {
        int at = station[i];
        if (at >= AXIS ? axes >> (at - AXIS) & 1 : (at >= boundary) == inner) bits |= 1u << i;
    }
    return bits;
}

/* ---- what they make of a window ---- */

enum { FREE, UNITED, SWEEP, FIXED };

/* What a loop is to a count. */
static int role_of(const Chain *c, const Count *x, int i) {
    int at = c->station[i];
    if (at >= AXIS) {
        int axis = at - AXIS;
        return x->axes >> axis & 1 ? FIXED : x->united >> axis & 1 ? UNITED : FREE;
    }
    if (at >= x->until) return FREE;
    return at < x->boundary ? FIXED : SWEEP;
}

typedef struct {
    int64_t key;
    int sweep, one, index; /* the step of the sweep; the instance; the index of the dim */
} Index;

static int by_digits(const void *x, const void *y) {
    const Index *a = x, *b = y;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    if (a->sweep != b->sweep) return a->sweep - b->sweep;
    if (a->one != b->one) return a->one - b->one;
    return a->index - b->index;
}

/* Every index of the dim with its digits, sorted; to be freed. */
static Index *indices_of(const Chain *c, const Count *x) {
    Index *p = calloc(c->D, sizeof *p);
    int role[64];
    for (int i = 0; i < c->n; i++) role[i] = role_of(c, x, i);
    for (int index = 0; index < c->D; index++) {
        int rest = index;
        p[index].index = index;
        for (int i = c->n - 1; i >= 0; i--) {
            int trips = ((i + 1 < c->n ? c->step[i + 1] : c->D) + c->step[i] - 1) / c->step[i], digit = rest / c->step[i];
            rest %= c->step[i];
            if (role[i] == FIXED) p[index].key = p[index].key * trips + digit;
            if (role[i] == SWEEP) p[index].sweep = p[index].sweep * trips + digit;
            if (role[i] == UNITED) p[index].one = p[index].one * trips + digit;
        }
    }
    qsort(p, c->D, sizeof *p, by_digits);
    return p;
}

/* Whether, inside out, loops are free, then sweep, then are fixed: tiles and sweeps are of neighbours then. */
static int in_order(const Chain *c, const Count *x) {
    int last = FREE;
    for (int i = 0; i < c->n; i++) {
        int role = role_of(c, x, i);
        if (role == UNITED || role < last) return 0;
        last = role;
    }
    return 1;
}

/* Whether any instance goes on to a tile from which `reach` words further on one begins that it had a step before. */
static int linked(const Index *last, int nlast, const Index *now, int nnow, int reach) {
    for (int i = 0, k = 0; i < nnow; i++) {
        if (i && now[i - 1].one == now[i].one) continue; /* the first index of an instance */
        int most = -1;
        for (; k < nlast && last[k].one <= now[i].one; k++)
            if (last[k].one == now[i].one) most = last[k].index;
        if (most >= 0 && now[i].index - most <= reach) return 1;
    }
    return 0;
}

static int by_index(const void *x, const void *y) { return ((const Index *)x)->index - ((const Index *)y)->index; }

/* Runs of indices no further apart than windows reach. */
static int clusters(Index *p, int n, int reach) {
    int runs = 1;
    qsort(p, n, sizeof *p, by_index);
    for (int i = 1; i < n; i++) runs += p[i].index - p[i - 1].index > reach;
    return runs;
}

/* The pieces of an outer dim: of each fixed tile and each unbroken sweep, the runs that share no words. */
static int pieces_of(const Chain *c, const Count *x, int reach) {
    Index *p = indices_of(c, x);
    int pieces = 0, from = 0;
    for (int i = 1, step = 0; i <= c->D; i++) {
        if (i < c->D && p[i].key == p[i - 1].key && p[i].sweep == p[i - 1].sweep) continue;
        int next = i; /* of the next step */
        while (next < c->D && p[next].key == p[i].key && p[next].sweep == p[i].sweep) next++;
        int goes_on = i < c->D && p[i].key == p[i - 1].key && linked(p + step, i - step, p + i, next - i, reach);
        step = i;
        if (goes_on) continue;
        pieces += clusters(p + from, i - from, reach);
        from = i;
    }
    free(p);
    return pieces;
}

enum { MOST_KEYS = 1 << 10 };

/* The pieces of an outer dim that does not sweep, if tiles are few enough to have them all at once; else 0. */
static int pieces_without_sweep(const Chain *c, const Count *x, int reach) {
    int last[MOST_KEYS], trips[64], role[64], keys = 1, pieces = 0;
    for (int i = c->n - 1; i >= 0; i--) {
        trips[i] = up(i + 1 < c->n ? c->step[i + 1] : c->D, c->step[i]);
        role[i] = role_of(c, x, i);
        if (role[i] == SWEEP || role[i] == UNITED) return 0;
        if (role[i] == FIXED && (keys *= trips[i]) > MOST_KEYS) return 0;
    }
    for (int k = 0; k < keys; k++) last[k] = -1 - reach;
    for (int index = 0; index < c->D; index++) {
        int rest = index, key = 0;
        for (int i = c->n - 1; i >= 0; i--) {
            if (role[i] == FIXED) key = key * trips[i] + rest / c->step[i];
            rest %= c->step[i];
        }
        pieces += index - last[key] > reach;
        last[key] = index;
    }
    return pieces;
}

/* The residues of an inner dim: of each fixed tile, and of a sweep those that come anew. */
static int residues_of(const Chain *c, const Count *x, int modulus) {
    Index *p = indices_of(c, x);
    int *seen = calloc(modulus, sizeof *seen), total = 0, forward = 1, number = 0;
    for (int i = 1; i < c->D; i++) forward &= p[i].key != p[i - 1].key || p[i].index > p[i - 1].index;
    for (int i = 0; i < c->D; i++) {
        int fixed = !i || p[i].key != p[i - 1].key, step = fixed || p[i].sweep != p[i - 1].sweep;
        if (fixed) number += 2;
        else if (step && forward) number++;
        int *last = &seen[p[i].index % modulus]; /* the step at which the residue was there last */
        total += *last < number - forward;
        *last = number;
    }
    free(seen);
    free(p);
    return total;
}

/* The most indices of a fixed tile, and the residues among them. */
static int tile_residues(const Chain *c, const Count *x, int modulus) {
    Index *p = indices_of(c, x);
    int most = 0, residues = 0;
    for (int from = 0, i = 1; i <= c->D; i++) {
        if (i < c->D && p[i].key == p[from].key) continue;
        int n = 0;
        for (int r = 0; r < modulus; r++) {
            int there = 0;
            for (int k = from; k < i; k++) there |= p[k].index % modulus == r;
            n += there;
        }
        if (i - from > most || (i - from == most && n > residues)) most = i - from, residues = n;
        from = i;
    }
    free(p);
    return residues;
}

/* The runs of the largest of the fixed tiles of an outer dim. */
static int tile_runs(const Chain *c, const Count *x, int reach) {
    if (in_order(c, x)) return 1;
    Index *p = indices_of(c, x);
    int most = 0, runs = 1;
    for (int from = 0, i = 1; i <= c->D; i++) {
        if (i < c->D && p[i].key == p[from].key) continue;
        if (i - from >= most) {
            int n = clusters(p + from, i - from, reach);
            runs = i - from > most || n > runs ? n : runs;
            most = i - from;
        }
        from = i;
    }
    free(p);
    return runs;
}

/* Where the fixed loops end the tile that begins at an index. */
static int end_of_tile(const Chain *c, const Count *x, int index) {
    int rest = index, extent = c->D;
    for (int i = c->n - 1; i >= 0 && role_of(c, x, i) == FIXED; i--) {
        int digit = rest / c->step[i], left = extent - digit * c->step[i];
        rest -= digit * c->step[i];
        extent = left < c->step[i] ? left : c->step[i];
    }
    return index + extent - rest;
}

/* The next tile of an outer dim: its first index, its last and their number; `p`: all indices, if not all tiles are of neighbours. */
static int next_tile(const Chain *c, const Count *x, const Index *p, int from, int *first, int *last) {
    int end = from + 1;
    if (!p) {
        end = end_of_tile(c, x, from);
        *first = from, *last = end - 1;
        return end;
    }
    *first = *last = p[from].index;
    for (; end < c->D && p[end].key == p[from].key; end++) {
        *last = most_of(*last, p[end].index);
        *first = -most_of(-*first, -p[end].index);
    }
    return end;
}

/* The words of the largest tile of an outer dim, with all of the inner one or all but one, as far as they are known. */
static int words_of_tile(const Chain *c, const Count *x, const Win *w) {
    Index *p = in_order(c, x) ? NULL : indices_of(c, x);
    int most[3] = {1, 1, 1}, first, last;
    for (int from = 0, end; from < c->D; from = end) {
        end = next_tile(c, x, p, from, &first, &last);
        for (int i = 0; i < 3; i++) {
            int words = x->what == WORDS ? words_of_set(w, first, last, end - from) : words_without(w, first, last, end - from, i);
            most[i] = most_of(most[i], words);
        }
    }
    free(p);
    return -most_of(-most[0], most_of(-most[1], -most[2]));
}

/* The words of the largest tile of an outer dim with all of the inner one, as far as they are known of each of its runs. */
static int words_apart(const Chain *c, const Count *x, const Win *w) {
    if (in_order(c, x)) return 1;
    Index *p = indices_of(c, x);
    int most = 1;
    for (int from = 0, end; from < c->D; from = end) {
        int words = 0;
        for (end = from + 1; end < c->D && p[end].key == p[from].key;) end++;
        qsort(p + from, end - from, sizeof *p, by_index);
        for (int first = from, last = from; last < end; first = ++last) {
            while (last + 1 < end && p[last + 1].index - p[last].index <= w->reach) last++;
            words += words_of_set(w, p[first].index, p[last].index, last - first + 1);
        }
        most = most_of(most, words);
    }
    free(p);
    return most;
}

/* Of the points outside those that are no words of their own, and one: of tiles of an outer dim with all of the inner one, counting each
 * word outside once in each tile. Of an inner dim: those that are not in two parts of a residue that follow each other. One if not all tiles are of
 * neighbours.
 */
static int border_count(const Form *form, const Chain *c, const Count *x) {
    const Win *w = form->win;
    int spared = w->outside;
    if (!in_order(c, x)) return 1;
    for (int from = 0, end; from < c->D; from = end) {
        end = end_of_tile(c, x, from);
        if (!form->inner) spared -= with_outside(w, end - from) - words_of_run(w, from, end - from);
        int next = form->inner && end < c->D ? end_of_tile(c, x, end) : end;
        for (int r = end; r < end + w->modulus && r < next; r++)
            if (r - w->modulus >= 0) spared -= w->beyond[0][r] + w->beyond[1][r - w->modulus];
    }
    return 1 + most_of(spared, 0);
}

/* Whether all tiles are of neighbours. */
static int scattered(const Form *form, const Chain *c) {
    for (int i = 0; i < form->ncounts; i++)
        if ((form->count[i].tile || form->count[i].what != DIGITS) && !in_order(c, &form->count[i])) return 1;
    return 0;
}

/* A count of a chain. */
static int count_of(const Form *form, const Chain *c, const Count *x) {
    const Win *w = form->win;
    if (x->what == SCATTER) return 1 + scattered(form, c);
    if (x->what == BORDER) return border_count(form, c, x);
    if (x->what == RUNS) return tile_runs(c, x, w->reach);
    if (x->what == APART) return words_apart(c, x, w);
    if (x->what >= WORDS) return words_of_tile(c, x, w);
    if (x->what == RESIDUES) return x->tile ? tile_residues(c, x, w->modulus) : residues_of(c, x, w->modulus);
    if (x->what == PIECES && !in_order(c, x)) return pieces_of(c, x, w->reach);
    return valid_digits(c->step, c->n, c->D, loops_in(c->station, c->n, x->boundary, x->tile, x->tile ? ~x->axes : x->axes));
}
