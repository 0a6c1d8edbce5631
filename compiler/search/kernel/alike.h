/* ---- where iterations cost something: rows of as many iterations together, so that compute is known ---- */

typedef struct {
    int first, n;
    double low[WIDTH], high[WIDTH];
} Alike;

typedef struct {
    Search *q;
    int *row[MAXG], n[MAXG];
    Alike *alike[MAXG];
    const Alike *chosen[MAXG];
    double low[MAXG + 1][WIDTH], high[MAXG + 1][WIDTH]; /* of the groups from there on */
} Split;

/* Sorts the rows of a depth by their iterations. */
static void sort_alike(Split *w, int d) {
    Search *q = w->q;
    int k = q->t->compute, n = 0, *of = malloc(sizeof(int) * q->n[d]);
    w->row[d] = malloc(sizeof(int) * q->n[d]);
    w->alike[d] = malloc(sizeof(Alike) * q->n[d]);
    for (int i = 0; i < q->n[d]; i++) {
        const double *y = rowp(q, d, q->row[d][i]);
        int c = 0;
        while (c < n && w->alike[d][c].low[k] != y[k]) c++;
        Alike *x = &w->alike[d][of[i] = c];
        if (c == n) {
            x->n = 0, n++;
            memcpy(x->low, y, sizeof(double) * q->W);
            memcpy(x->high, y, sizeof(double) * q->W);
        }
        for (int i = 0; i < q->W; i++) x->low[i] = smaller(x->low[i], y[i]), x->high[i] = larger(x->high[i], y[i]);
        x->n++;
    }
    for (int c = 0, first = 0; c < n; first += w->alike[d][c++].n) w->alike[d][c].first = first;
    for (int c = 0; c < n; c++) w->alike[d][c].n = 0;
    for (int i = 0; i < q->n[d]; i++) {
        Alike *x = &w->alike[d][of[i]];
        w->row[d][x->first + x->n++] = q->row[d][i];
    }
    w->n[d] = n;
    free(of);
}

/* Searches the rows chosen. */
static void explore_alike(Split *w) {
    Search *q = w->q;
    for (int d = 0; d < q->G; d++) {
        const Alike *x = w->chosen[d];
        q->n[d] = x->n;
        memcpy(q->row[d], w->row[d] + x->first, sizeof(int) * x->n);
        memcpy(q->gl[d], x->low, sizeof x->low);
        memcpy(q->gh[d], x->high, sizeof x->high);
    }
    q->s->nodes++;
    if (q->s->timed && steady(q->s)) {
        q->cycles = 1;
        for (int d = 0; d < q->G; d++) q->cycles *= w->chosen[d]->low[q->t->compute];
        q->cycles = larger(q->s->fewest, q->cycles);
    }
    if (filter(q) < INFINITY) explore(q);
    q->cycles = 0;
}

/* One number of iterations after another, group by group. */
static void choose_alike(Split *w, int depth, const double *low, const double *high) {
    Search *q = w->q;
    if (depth == q->G) {
        explore_alike(w);
        return;
    }
    for (int i = 0; i < w->n[depth] && !spent(q->s); i++) {
        const Alike *x = w->chosen[depth] = &w->alike[depth][i];
        double least[WIDTH], most[WIDTH], all[WIDTH], any[WIDTH];
        multiply(q, low, x->low, least);
        multiply(q, high, x->high, most);
        multiply(q, least, w->low[depth + 1], all);
        multiply(q, most, w->high[depth + 1], any);
        if (fits(q, all, q->low[q->G]) && hopeful(q, cost_up_to(q, q->low[q->G], all, any, q->s->best))) choose_alike(w, depth + 1, least, most);
    }
}

static void split(Search *q) {
    Split w = {q};
    for (int k = 0; k < q->W; k++) w.low[q->G][k] = w.high[q->G][k] = q->low[q->G][k] = 1;
    for (int d = q->G - 1; d >= 0; d--) {
        sort_alike(&w, d);
        multiply(q, w.low[d + 1], q->gl[d], w.low[d]);
        multiply(q, w.high[d + 1], q->gh[d], w.high[d]);
    }
    choose_alike(&w, 0, q->low[q->G], q->low[q->G]);
    for (int d = 0; d < q->G; d++) free(w.row[d]), free(w.alike[d]);
}

static void search_rows(Search *q) { splits(q) ? split(q) : explore(q); }
