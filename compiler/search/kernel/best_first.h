/* ---- boxes of all plans by their bounds: where ports are limited, see geometric.h ---- */

typedef struct Node {
    double bound;
    Hint *hint;
    int plan, number, whole;  /* `whole`: the box of the plan */
    unsigned short limit[];   /* of counts and trips */
} Node;

typedef struct {
    Node **node;
    int n, capacity, made, opened;
} Heap;

enum { MOST_NODES = 1 << 18, DIVES = 8 }; /* DIVES: of so many boxes one is halved to the end, to find something */

static int sooner(const Node *x, const Node *y) { return x->bound < y->bound || (x->bound == y->bound && x->number < y->number); }

static void sift_up(Heap *h, int at) {
    for (Node *x = h->node[at]; at > 0 && sooner(x, h->node[(at - 1) / 2]); at = (at - 1) / 2) {
        h->node[at] = h->node[(at - 1) / 2];
        h->node[(at - 1) / 2] = x;
    }
}

static Node *pop_box(Heap *h) {
    Node *first = h->node[0], *x = h->node[--h->n];
    int at = 0;
    for (int child; (child = 2 * at + 1) < h->n; at = child) {
        if (child + 1 < h->n && sooner(h->node[child + 1], h->node[child])) child++;
        if (!sooner(h->node[child], x)) break;
        h->node[at] = h->node[child];
    }
    h->node[at] = x;
    return first;
}

/* Keeps a box; a plan's whole box is not written down. */
static void push_box(Heap *h, const Boxes *q, int plan, const Box *box, double bound, Hint *hint) {
    int n = 0, D = q->s->D, A = q->s->A;
    for (int d = 0; d < D && box; d++) n += 2 * (q->form[d].ncounts + A);
    Node *x = malloc(sizeof *x + sizeof(unsigned short) * n);
    *x = (Node){bound, hint, plan, h->made++, !box};
    if (hint) hint->users++;
    unsigned short *at = x->limit;
    for (int d = 0; d < D && box; d++) {
        for (int i = 0; i < q->form[d].ncounts; i++) *at++ = (unsigned short)box->low[d][i], *at++ = (unsigned short)box->high[d][i];
        for (int a = 0; a < A; a++) *at++ = (unsigned short)box->least[d][a], *at++ = (unsigned short)box->most[d][a];
    }
    if (h->n == h->capacity) h->node = realloc(h->node, sizeof(Node *) * (h->capacity = 2 * h->capacity + 1024));
    h->node[h->n++] = x;
    sift_up(h, h->n - 1);
}

static void read_box(const Boxes *q, const Node *x, Box *box) {
    const unsigned short *at = x->limit;
    memset(box, 0, sizeof *box);
    for (int d = 0; d < q->s->D; d++) {
        for (int i = 0; i < q->form[d].ncounts; i++) box->low[d][i] = *at++, box->high[d][i] = *at++;
        for (int a = 0; a < q->s->A; a++) box->least[d][a] = *at++, box->most[d][a] = *at++;
    }
}

/* Looks into a box, or halves it. The better half is left in the box, with its bound and hint, if there is one. */
static int open_box(Heap *h, Boxes *q, int plan, Box *box, double *bound, Hint **hint) {
    Box half[2];
    double bounds[2];
    Cut cut;
    *bound = geometric_bound(q, box, *bound, *hint);
    if (*bound > q->most) return q->s->discarded[COSTLY]++, 0;
    double slack = 1 - *bound / (q->most + 1), large = widest(q, box, *bound, &cut);
    if (settle(q, box, *bound, large)) return 0;
    if (large > SMALL && !q->s->program->full) best_cut(q->s->program, q, box, slack, &cut);
    drop_hint(*hint);
    *hint = make_hint(q->s->program, q);
    halve(q, box, &cut, half, bounds);
    for (int i = 0; i < 2; i++) bounds[i] = larger(*bound, bounds[i]);
    int first = bounds[0] > bounds[1];
    if (bounds[!first] <= q->most) push_box(h, q, plan, &half[!first], bounds[!first], *hint);
    *box = half[first];
    *bound = bounds[first];
    return *bound <= q->most;
}

/* The least value up to `most`, the least bound first. */
static void search_best_first(S *s, double most) {
    Heap h = {0};
    double open = INFINITY;
    s->best = most + 1;
    s->nlate = 0;
    for (int i = 0; i < s->nplans && s->plan[i].bound <= most; i++) {
        Boxes q = {s, NULL, NULL, s->plan[i].form, most, {{0}}, INFINITY};
        push_box(&h, &q, i, NULL, s->plan[i].bound, NULL);
    }
    while (h.n && h.node[0]->bound < s->best) {
        if (overspent(s, 8) || h.n > MOST_NODES || (!(s->pairs++ & 0xff) && stop(s))) break;
        Node *x = pop_box(&h);
        const Plan *p = &s->plan[x->plan];
        Boxes q = {s, &s->setting[p->setting], p, p->form, s->best - 1, {{0}}, INFINITY};
        Box box;
        if (x->whole) whole_box(s, p->form, &box), propagate(&q, &box, (1 << s->D) - 1);
        else read_box(&q, x, &box);
        int dive = h.opened++ % DIVES == 0, more;
        double bound = x->bound;
        Hint *hint = x->hint;
        do more = open_box(&h, &q, x->plan, &box, &bound, &hint);
        while (more && dive && !overspent(s, 8));
        if (more) push_box(&h, &q, x->plan, &box, bound, hint);
        drop_hint(hint);
        open = smaller(open, q.open);
        most = smaller(most, s->worth);
        free(x);
    }
    if (h.n) open = smaller(open, h.node[0]->bound);
    open = smaller(open, search_late(s));
    s->lower = larger(s->lower, smaller(s->best, ceil(open)));
    for (int i = 0; i < h.n; i++) drop_hint(h.node[i]->hint), free(h.node[i]);
    free(h.node);
}
