/* ---- boxes in which no chain of a dim was found, whatever it may cost: many boxes differ in other dims only ---- */

enum { EMPTIES = 1 << 12, MOST_EMPTIES = 1 << 16 };

typedef struct Empty {
    struct Empty *next;
    int wanted[MAXF]; /* the segments where fan-outs were to stand */
    int plan, dim, whole, n, limit[]; /* whether all chains were looked for; the limits of the dim's counts and trips */
} Empty;

static int limits_of(const Boxes *q, const Box *box, int d, int *limit) {
    int n = 0;
    for (int i = 0; i < q->form[d].ncounts; i++) limit[n++] = box->low[d][i], limit[n++] = box->high[d][i];
    for (int a = 0; a < q->s->A; a++) limit[n++] = box->least[d][a], limit[n++] = box->most[d][a];
    return n;
}

static Empty **bucket_of(S *s, int plan, int dim, const int *limit, int n) {
    uint64_t hash = (uint64_t)plan * MAXD + dim;
    for (int i = 0; i < n; i++) hash = (hash ^ (uint64_t)limit[i]) * 0x100000001b3;
    if (!s->empty) s->empty = calloc(EMPTIES, sizeof(Empty *));
    return &s->empty[(hash ^ hash >> 32) % EMPTIES];
}

static int covers(const Boxes *q, const Empty *e, const int *wanted) {
    for (int f = 0; f < q->s->F; f++)
        if (wanted[f] & ~e->wanted[f]) return 0;
    return 1;
}

static const Empty *known_empty(const Boxes *q, const Box *box, int d, const int *wanted) {
    int limit[2 * (MAXV + MAXA)], n = limits_of(q, box, d, limit);
    for (const Empty *e = *bucket_of(q->s, q->plan->number, d, limit, n); e; e = e->next)
        if (e->plan == q->plan->number && e->dim == d && e->n == n && !memcmp(e->limit, limit, sizeof(int) * n) && covers(q, e, wanted)) return e;
    return NULL;
}

static void note_empty(const Boxes *q, const Box *box, int d, const int *wanted, int whole) {
    int limit[2 * (MAXV + MAXA)], n = limits_of(q, box, d, limit);
    if (q->s->nempty == MOST_EMPTIES) return;
    Empty **bucket = bucket_of(q->s, q->plan->number, d, limit, n), *e = malloc(sizeof *e + sizeof(int) * n);
    e->next = *bucket, e->plan = q->plan->number, e->dim = d, e->whole = whole, e->n = n;
    memcpy(e->limit, limit, sizeof(int) * n);
    memcpy(e->wanted, wanted, sizeof e->wanted);
    *bucket = e;
    q->s->nempty++;
}

static void forget_empty(S *s) {
    for (int i = 0; i < EMPTIES && s->empty; i++)
        for (Empty *e = s->empty[i], *next; e; e = next) next = e->next, free(e);
    free(s->empty);
}
