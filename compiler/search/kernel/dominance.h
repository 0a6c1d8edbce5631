/* ---- rows that no other row dominates ----
 *
 * Rows are taken in the order of their sums: only an earlier one can be no larger in any column. Of the next 64 x SETS rows that
 * none of those before dominates, each value of each column knows, one bit for a row, which are no larger; what all columns of a
 * row agree on dominates it.
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

/* The rank of each row in a column; returns how many values there are. `list` has room for one of each row, `number` for two. */
static int rank_column(const double *row, int n, int stride, const Ranked *order, double *list, int *number, int *rank, int step) {
    int values = 0, last = 0, *place = number + n; /* values have numbers as they come */
    for (int i = 0; i < n; i++) {
        double x = row[(size_t)order[i].index * stride];
        if (!values || list[last] != x) last = rank_of(list, values, x);
        if (last == values || list[last] != x) {
            memmove(list + last + 1, list + last, sizeof(double) * (values - last));
            memmove(number + last + 1, number + last, sizeof(int) * (values - last));
            list[last] = x, number[last] = values++;
        }
        rank[(size_t)i * step] = number[last];
    }
    for (int v = 0; v < values; v++) place[number[v]] = v;
    for (int i = 0; i < n; i++) rank[(size_t)i * step] = place[rank[(size_t)i * step]];
    return values;
}

/* Which of some rows are no larger in a column than each of its values. */
static void no_larger(const int *rank, int step, int values, const int *some, int n, Some *set) {
    memset(set, 0, sizeof *set * values);
    for (int i = 0; i < n; i++) set[rank[(size_t)some[i] * step]].bits[i / 64] |= (uint64_t)1 << i % 64;
    for (int v = 1; v < values; v++)
        for (int k = 0; k < SETS; k++) set[v].bits[k] |= set[v - 1].bits[k];
}

/* Whether one of the first `n` of these rows is no larger than another one in any column. */
static int has_no_larger(const int *rank, int nc, const Some *set, const int *from, int n) {
    Some left;
    for (int k = 0; k < SETS; k++) {
        int before = n - 64 * k;
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
    int *rank = malloc(sizeof(int) * ((size_t)n * nc + 1)), *from = malloc(sizeof(int) * (nc + 1));
    int *left = malloc(sizeof(int) * (n + 1)), *number = malloc(sizeof(int) * (2 * n + 1));
    double *list = malloc(sizeof(double) * (n + 1));
    for (int i = 0; i < n; i++) {
        order[i] = (Ranked){0, i};
        keep[i] = 1, left[i] = i;
        for (int k = 0; k < nc; k++) order[i].key += row[(size_t)i * stride + columns[k]];
    }
    qsort(order, n, sizeof *order, by_key);
    from[0] = 0;
    for (int k = 0; k < nc; k++) from[k + 1] = from[k] + rank_column(row + columns[k], n, stride, order, list, number, rank + k, nc);
    Some *set = malloc(sizeof(Some) * (from[nc] + 1));
    for (int first = 0, next = 0; first < n && !s->stopped; first = next) {
        int block = smaller(n - first, 64 * SETS), kept = next = first;
        for (int k = 0; k < nc; k++) no_larger(rank + k, nc, from[k + 1] - from[k], left + first, block, set + from[k]);
        overspent(s, from[nc] / 32 + (n - first) / 8);
        for (int i = first; i < n; i++) {
            int at = left[i];
            keep[order[at].index] = i == first || !has_no_larger(rank + (size_t)at * nc, nc, set, from, smaller(i - first, block));
            left[kept] = at;
            kept += keep[order[at].index];
            if (i < first + block) next = kept;
        }
        n = kept;
    }
    free(order);
    free(rank);
    free(list);
    free(set);
    free(from);
    free(left);
    free(number);
    return n;
}
