/* ---- rows that no other row dominates ----
 *
 * Rows are taken in the order of their sums: only an earlier one can be no larger in any column. Of 64 x SETS earlier rows
 * at a time, each value of each column knows, one bit for a row, which are no larger; what all columns of a row agree on dominates it.
 */

enum { SETS = 4 };

typedef struct {
    uint64_t bits[SETS];
} Some;

/* Where a value is in a list, or would be. */
static int rank_of(const double *value, int n, double x) {
    int low = 0;
    while (n > 0) {
        int half = n / 2;
        if (value[low + half] < x) low += half + 1, n -= half + 1;
        else n = half;
    }
    return low;
}

/* The rank of each row in a column; returns how many values there are. `list` has room for one of each row. */
static int rank_column(const double *row, int n, int stride, const Ranked *order, double *list, int *rank, int step) {
    int values = 0, last = 0;
    for (int i = 0; i < n; i++) {
        double x = row[(size_t)order[i].index * stride];
        if (values && list[last] == x) continue;
        last = rank_of(list, values, x);
        if (last < values && list[last] == x) continue;
        memmove(list + last + 1, list + last, sizeof(double) * (values++ - last));
        list[last] = x;
    }
    last = 0;
    for (int i = 0; i < n; i++) {
        double x = row[(size_t)order[i].index * stride];
        if (list[last] != x) last = rank_of(list, values, x);
        rank[(size_t)i * step] = last;
    }
    return values;
}

/* Which of the rows from `first` up to `last` are no larger in a column than each of its values. */
static void no_larger(const int *rank, int step, int values, int first, int last, Some *set) {
    memset(set, 0, sizeof *set * values);
    for (int i = first; i < last; i++) set[rank[(size_t)i * step]].bits[(i - first) / 64] |= (uint64_t)1 << (i - first) % 64;
    for (int v = 1; v < values; v++)
        for (int k = 0; k < SETS; k++) set[v].bits[k] |= set[v - 1].bits[k];
}

/* Whether one of the rows from `first` on, but before row `i`, is no larger than it in any column. */
static int has_no_larger(const int *rank, int nc, const Some *set, const int *from, int first, int i) {
    Some left;
    for (int k = 0; k < SETS; k++) {
        int before = i - first - 64 * k;
        left.bits[k] = before >= 64 ? ~(uint64_t)0 : before > 0 ? ((uint64_t)1 << before) - 1 : 0;
    }
    for (int c = 0; c < nc; c++) {
        const Some *x = &set[from[c] + rank[c]];
        uint64_t any = 0;
        for (int k = 0; k < SETS; k++) any |= left.bits[k] &= x->bits[k];
        if (!any) return 0;
    }
    return 1;
}

/* Marks the rows that no other row dominates (<= everywhere; the first of equal ones stays); returns how many. */
static int undominated(S *s, const double *row, int n, int stride, const int *columns, int nc, int *keep) {
    Ranked *order = malloc(sizeof(Ranked) * (n + 1));
    int *rank = malloc(sizeof(int) * ((size_t)n * nc + 1)), *from = malloc(sizeof(int) * (nc + 1)), block = 64 * SETS, left = n;
    double *list = malloc(sizeof(double) * (n + 1));
    for (int i = 0; i < n; i++) {
        order[i] = (Ranked){0, i};
        keep[i] = 1;
        for (int k = 0; k < nc; k++) order[i].key += row[(size_t)i * stride + columns[k]];
    }
    qsort(order, n, sizeof *order, by_key);
    from[0] = 0;
    for (int k = 0; k < nc; k++) from[k + 1] = from[k] + rank_column(row + columns[k], n, stride, order, list, rank + k, nc);
    Some *set = malloc(sizeof(Some) * (from[nc] + 1));
    for (int first = 0; first < n && !s->stopped; first += block) {
        int last = smaller(n, first + block);
        for (int k = 0; k < nc; k++) no_larger(rank + k, nc, from[k + 1] - from[k], first, last, set + from[k]);
        overspent(s, from[nc] / 32);
        for (int i = first + 1; i < n; i++) {
            if (!keep[order[i].index] || !has_no_larger(rank + (size_t)i * nc, nc, set, from, first, i)) continue;
            keep[order[i].index] = 0;
            left--;
        }
        overspent(s, (n - first) / 8);
    }
    free(order);
    free(rank);
    free(list);
    free(set);
    free(from);
    return left;
}
