/* What the translator of C is tested with: each function returns what its comment says; see test_translated.py. */
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
typedef struct { short small; double x; int list[3], n; } Inner;
typedef struct Outer { Inner inner[2]; struct Outer *next; int *at; unsigned char last; } Outer;
enum { ZERO, ONE, FIVE = 5, SIX };
typedef struct { int size; unsigned short items[]; } Flexible;
typedef struct { int copy, zero, clear[1]; } Odd;
typedef struct { double key; int index; } Pair;
static int by_key(const void *x, const void *y) {
    const Pair *a = x, *b = y;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    return a->index - b->index;
}
static int by_number(const void *x, const void *y) { return *(const int *)x - *(const int *)y; }
static int by_pair(const void *x, const void *y) { return by_key(*(Pair *const *)x, *(Pair *const *)y); }
static int next_of(const int **at) { return *(*at)++; }
static void add(int *to, int value) { *to += value; }
static Inner doubled(Inner x) {
    x.x *= 2, x.list[0] *= 2;
    return x;
}
static double half(double x) { return x / 2; }
static double larger(double x, double y) { return x > y ? x : y; }
static int unless_zero(int x, int y) { return y ? x : 0; }
static double share(double x, double y) { return x / (x + y); }
static int item(const Inner *x, int i) { return x->list[i] + i; }
static int cleared(Inner *x) { return x->list[1] = 0; }
static int digits[] = {3, 1, 4, 1, 5};
static const double SCALE = 0.5;

double quotients_are_truncated(void) { int a = -7, b = 2; return a / b * 100 + a % b * 10 + 7 / -b; } /* -313 */

double quotients_by_a_constant(void) { int a = -70; return a / 64 * 1000 + a % 64; } /* -1006 */

double unsigned_numbers_wrap(void) { unsigned a = 3; return (double)(a - 5); } /* 4294967294 */

double unsigned_comparisons(void) { unsigned a = 1; int b = -1; return a < b; } /* 1 */

double unsigned_products(void) { uint64_t h = 1099511628211u; h = (h ^ 77) * 0x100000001b3; return h % 1009; } /* 778 */

double unsigned_complements(void) { uint64_t all = ~(uint64_t)0; return all >> 60; } /* 15 */

double narrow_numbers(void) { int a = 70000; return (short)a + (unsigned short)a; } /* 8928 */

double numbers_of_eight_bytes(void) { int64_t a = (int64_t)1 << 40; int b = (int)(a >> 8); return b == 0; } /* 1 */

double numbers_of_sixteen_bytes(void) { __int128 a = (__int128)INT64_MAX * 4; return a / 8 > INT_MAX; } /* 1 */

double integers_become_doubles(void) { double x = 7; int n = 2; x /= n; return x; } /* 3.5 */

double integers_are_divided_as_such(void) { int n = 7; double x = n / 2; return x; } /* 3 */

double doubles_are_cut_off(void) { double x = -2.7; return (int)x; } /* -2 */

double an_update_with_a_double(void) { int n = 7; n *= 1.5; return n; } /* 10 */

double truth_is_a_number(void) { int a = 5, b = (a > 3) + !a + !!a + (a && 2) + (a || 0); return b; } /* 4 */

double shifts_to_the_right_keep_the_sign(void) { int a = -5; return a >> 1; } /* -3 */

double division_by_zero(void) { double zero = 0, x = -1 / zero; return x < 0 && x == -INFINITY; } /* 1 */

double zero_by_zero(void) { double zero = 0, x = zero / zero; return x != x; } /* 1 */

double infinities(void) {
    double x = INFINITY;
    return floor(x) == x && ceil(-x) == -x && exp(1e9) == x && log(0) == -x;
} /* 1 */

double logarithms_of_less_than_zero(void) { double x = log(-1.0), y = sqrt(-1.0); return x != x && y != y; } /* 1 */

double signs_of_zero(void) { double x = -0.0; return 1 / ceil(-0.5) < 0 && 1 / floor(x) < 0; } /* 1 */

double floor_and_ceil(void) { return floor(-2.5) * 10 + ceil(-2.5) + fabs(-0.25); } /* -31.75 */

double structs_are_copied(void) {
    Inner a = {1, 2, {3}, 4}, b = a;
    b.list[0] = 9, b.x = 5;
    return a.list[0] + a.x;
} /* 5 */

double structs_are_passed_by_value(void) {
    Inner a = {1, 2, {3}}, b = doubled(a);
    return a.x + b.x + b.list[0];
} /* 12 */

double structs_are_assigned_in_place(void) {
    Outer o;
    memset(&o, 0, sizeof o);
    Inner *p = &o.inner[1], q = {.0};
    q.n = 8;
    o.inner[1] = q;
    return p->n;
} /* 8 */

double literals_are_read_before_they_are_written(void) {
    Pair p = {1, 2};
    p = (Pair){p.index, (int)p.key};
    return p.key;
} /* 2 */

double zeros_fill_a_list(void) { int a[4] = {7}, b[2][2] = {{1}, {2}}; return a[0] + a[3] + b[1][0] + b[1][1]; } /* 9 */

double a_pointer_into_a_list(void) {
    int a[5] = {1, 2, 3, 4, 5}, *p = a + 1;
    p += 2;
    return *p * 10 + p[-1] + (p - a);
} /* 46 */

double a_pointer_that_moves(void) {
    int a[4], *p = a;
    *p++ = 1;
    *p++ = 2;
    *p = 3;
    return a[0] + a[1] * 10 + a[2] * 100;
} /* 321 */

double pointers_are_compared(void) {
    int a[3], *p = a, *q = a + 2;
    return (p < q) + (p + 2 == q) + (p != q) + !!p;
} /* 4 */

double a_pointer_to_a_variable(void) { int n = 1; add(&n, 4); int *p = &n; *p *= 2; return n; } /* 10 */

double a_pointer_to_a_field(void) {
    Inner a = {0};
    add(&a.n, 3), add(&a.list[1], 4);
    return a.n * 10 + a.list[1];
} /* 34 */

double a_pointer_to_a_pointer(void) {
    const int *p = digits;
    int a = next_of(&p), b = next_of(&p);
    return a * 100 + b * 10 + *p;
} /* 314 */

double a_pointer_to_lists(void) {
    double h[2][3] = {{1, 2, 3}, {4, 5, 6}}, (*p)[3] = h;
    return p[1][2] + (*p)[0];
} /* 7 */

double pointers_in_a_list(void) {
    int a[2] = {1, 2}, b[2] = {3, 4}, *p[2] = {a, b + 1};
    return p[0][1] * 10 + *p[1];
} /* 24 */

double a_choice_of_pointers(void) { int a = 1, b = 2, c = 1; add(c ? &b : &a, 5); return a * 10 + b; } /* 17 */

double null(void) { Outer o = {{{1}}}, *p = NULL; o.next = 0; return !p + !o.next + !o.at; } /* 3 */

double a_linked_list(void) {
    Outer *p = NULL;
    for (int i = 1; i < 4; i++) { Outer *q = malloc(sizeof *q); q->next = p, q->last = i; p = q; }
    int n = 0;
    for (Outer *q = p, *r; q; q = r) r = q->next, n = n * 10 + q->last, free(q);
    return n;
} /* 321 */

double a_list_that_grows(void) {
    int *a = NULL, n = 0, room = 0;
    for (int i = 0; i < 9; i++) {if (n == room) a = realloc(a, sizeof(int) * (room = 2 * room + 1)); a[n++] = i * i; }
    return a[8] + room;
} /* 79 */

double structs_in_a_list_that_grows(void) {
    Pair *a = malloc(sizeof(Pair) * 2);
    a[1] = (Pair){2, 3};
    Pair *b = &a[1];
    b->index++;
    return a[1].index;
} /* 4 */

double memory_of_zeros(void) {
    Outer *a = calloc(20, sizeof *a);
    return a[19].inner[1].x + a[19].last + !a[19].next;
} /* 1 */

double room_behind_a_struct(void) {
    Flexible *f = malloc(sizeof *f + sizeof(unsigned short) * 3);
    f->items[2] = (unsigned short)65537;
    unsigned short *p = f->items;
    p += 2;
    return *p;
} /* 1 */

double room_behind_a_struct_stays(void) {
    Flexible *f = malloc(sizeof *f + sizeof(unsigned short) * 3);
    f->items[2] = 4;
    *f = (Flexible){7};
    return f->items[2] * 10 + f->size;
} /* 47 */

double bytes_are_copied(void) {
    int a[5] = {1, 2, 3, 4, 5};
    memmove(a + 1, a, 3 * sizeof(int));
    return a[1] * 100 + a[3] * 10 + a[4];
} /* 135 */

double bytes_of_another_type(void) {
    int64_t a[] = {4607182418800017408, 0};
    double x;
    memcpy(&x, a, sizeof x);
    return x;
} /* 1 */

double bytes_are_compared(void) { int a[] = {1, 256}, b[] = {1, 2}; return memcmp(a, b, sizeof a) < 0; } /* 1 */

double structs_are_compared(void) {
    Inner a, b;
    memset(&a, 0, sizeof a), memset(&b, 0, sizeof b);
    b.n = 1;
    return !memcmp(&a, &b, sizeof a) + 2 * !memcmp(&a, &b, offsetof(Inner, n)) + 4 * (memcmp(&a, &b, sizeof a) < 0);
} /* 6 */

double sizes(void) { return sizeof(Inner) * 1000 + sizeof(Outer) + offsetof(Outer, last) + sizeof(digits); } /* 32188 */

double sorted_numbers(void) {
    int a[] = {3, 1, 2};
    qsort(a, 3, sizeof *a, by_number);
    return a[0] * 100 + a[1] * 10 + a[2];
} /* 123 */

double sorted_structs(void) {
    Pair a[] = {{2, 1}, {1, 2}, {1, 1}};
    const Pair *p = a;
    qsort(a, 3, sizeof *a, by_key);
    return p->index * 10 + a[1].index;
} /* 12 */

double sorted_pointers(void) {
    Pair a[] = {{2, 1}, {1, 2}}, *p[] = {&a[0], &a[1]};
    qsort(p, 2, sizeof *p, by_pair);
    return p[0]->index;
} /* 2 */

double and_stops(void) { int n = 0; int a = n && n++; return a * 10 + n; } /* 0 */

double or_stops(void) { int n[1] = {1}, a = n[0] || n[0]++; return a * 10 + n[0]; } /* 11 */

double effects_in_a_condition(void) {
    int n[1] = {0}, i = 0;
    while (n[0]++ < 5 && i < 3) i++;
    return n[0] * 10 + i;
} /* 43 */

double effects_after_a_sequence_point(void) { int n[1] = {1}, a = (n[0]++, n[0] * 10); return a + n[0]; } /* 22 */

double effects_in_one_branch(void) {
    int n[2] = {1, 1}, a = n[0] ? n[0]++ : n[1]++;
    return a * 100 + n[0] * 10 + n[1];
} /* 121 */

double several_assignments(void) { int a, b, c[2]; a = b = c[1] = 4; return a + b + c[1]; } /* 12 */

double an_index_that_moves(void) {
    int a[3], n = 0;
    a[n++] = 5, a[n++] = 6, a[n] = 7;
    return a[0] * 100 + a[1] * 10 + a[2];
} /* 567 */

double arguments_come_before_the_call(void) {
    int n = 3;
    const int *p = digits;
    add(&n, next_of(&p));
    return n + (p - digits);
} /* 7 */

double a_loop_that_goes_on(void) {
    int n = 0;
    for (int i = 0; i < 6; i++) { if (i % 2) continue; n = n * 10 + i; }
    return n;
} /* 24 */

double a_loop_that_ends(void) {
    int n = 0, i;
    for (i = 5; i > 0; i--) if (i == 2) break;
    else n += i;
    return n * 10 + i;
} /* 122 */

double a_loop_whose_end_moves(void) {
    int n = 3, s = 0;
    for (int i = 0; i < n; i++) { if (i == 1) n = 5; s += i; }
    return s;
} /* 10 */

double a_loop_whose_end_a_function_moves(void) {
    Inner a = {0};
    a.n = 2;
    int s = 0;
    for (int i = 0; i < a.n; i++) { if (!i) add(&a.n, 2); s += i; }
    return s;
} /* 6 */

double a_loop_down(void) { int s = 0; for (int i = 4; i >= 2; i--) s = s * 10 + i; return s; } /* 432 */

double a_loop_with_two_conditions(void) { int s = 0; for (int i = 1; i <= 9 && s < 10; i++) s += i; return s; } /* 10 */

double a_loop_over_two_variables(void) {
    int s = 0;
    for (int i = 0, k = 9; i < k; i++, k--) s += k - i;
    return s;
} /* 25 */

double do_once(void) { int n = 9; do n++; while (n < 5); return n; } /* 10 */

double do_and_go_on(void) {
    int n = 0, s = 0;
    do { n++; if (n == 2) continue; s += n; }
    while (n < 4);
    return s;
} /* 8 */

double names_within(void) { int i = 1; { int i = 2; i++; } for (int i = 0; i < 3; i++) ; return i; } /* 1 */

double names_of_python(void) {
    int from = 1, lambda = 2, range = 3;
    for (int len = 0; len < 2; len++) from += len;
    return from + lambda + range;
} /* 7 */

double enumerations(void) { return FIVE * 10 + SIX + ONE; } /* 57 */

double variables_of_all_functions(void) { digits[2]++; int n = digits[2]; digits[2]--; return n * SCALE; } /* 2.5 */

double a_double_as_an_argument(void) { return half(3); } /* 1.5 */

double long_conditions(void) { int a = 3; return a < 2 ? 1 : a < 4 ? 2 : 3; } /* 2 */

double int_max(void) { int a = INT_MAX; return a == 2147483647 && a > 1e9; } /* 1 */

double small_functions(void) {
    int n = 1;
    double a = larger(n++, 0.5);
    int b = unless_zero(n++, 0);
    return a * 100 + b * 10 + n;
} /* 103 */

double small_functions_in_each_other(void) { double x = 2; return larger(larger(x * x, x + 1), larger(share(x * 3, x), x / 4)); } /* 4 */

double small_functions_on_a_condition(void) {
    int n[1] = {0}, i = 0;
    while (larger(n[0]++, 0) < 3) i++;
    return (n[0] == 4 && share(n[0] * 3, 4) > 0.5 ? share(n[0] * 3, 4) : 0) * 10 + i;
} /* 10.5 */

double small_functions_read_after_their_arguments(void) { Inner a = {1, 2, {3, 4}}; return item(&a, cleared(&a)) * 10 + a.list[1]; } /* 30 */

double names_of_classes(void) { Odd o = {1, 2, {3}}, p = o; p.clear[0] = 5, o = p; memset(&p, 0, sizeof p); return o.copy + o.zero + o.clear[0] + p.zero; } /* 8 */

double names_of_functions(void) { int item = 1, floor = 2, share = 3; { int larger = 4; item += larger; } return item + floor + share + larger(1, 0); } /* 11 */
