/* ---- the chains of all dims in a small box, combined depth first ---- */

typedef struct {
    Boxes *q;
    int n, order[MAXD], chosen[MAXD];
    Rows rows[MAXD];
    double low[MAXD + 1][WIDTH], high[MAXD + 1][WIDTH]; /* by depth: factors, tiles and trips of the dims to come */
    int least[MAXD][MAXV + MAXA]; /* of each count; then the most trips */
    const int *now[MAXD];       /* counts and trips of the chain chosen, or these */
    uint64_t *place[MAXD];
} Join;

static const int *row_at(const Join *w, int d, int i) { return w->rows[d].value + (size_t)i * w->rows[d].width; }

static int operand_of(const Setting *t, int column) {
    return column < t->nterms ? t->term[column].operand : t->operand[column - t->nterms];
}

/* Factors of terms, tiles of marks, trips on axes; of windows none. */
static void row_factors(const Join *w, int d, int i, double *x) {
    const Form *form = &w->q->form[d];
    const int *row = row_at(w, d, i);
    int C = w->q->t->nterms + w->q->t->nmarks;
    for (int k = 0; k < C; k++) {
        int none = form->of[k] < 0 || (form->win && w->q->s->class[operand_of(w->q->t, k)][d] == WINDOW);
        x[k] = none ? 1 : row[form->of[k]];
    }
    for (int a = 0; a < w->q->s->A; a++) x[C + a] = row[form->ncounts + a];
}

/* Of how many instances the busiest is one, as far as a dim is spread over them by the chain chosen. */
static double spread_over(const Join *w, int j, int d) {
    const Term *term = &w->q->t->term[j];
    double n = 1;
    if (d < 0 || term->kind != BUSIEST) return n;
    for (int a = 0; a < w->q->s->A; a++)
        if (spread(w->q->s, term, d) >> a & 1) n *= w->now[d][w->q->form[d].ncounts + a];
    return n;
}

/* What the windows make of a term, or of a tile, with the chains chosen so far. */
static double windows_of(const Join *w, int k) {
    const S *s = w->q->s;
    const Setting *t = w->q->t;
    const Form *form = w->q->form;
    double all = 1;
    for (int g = 0; g < s->G && s->W; g++) {
        int at = s->wtable[operand_of(t, k)][g];
        if (at < 0) continue;
        const Win *x = &s->win[at];
        int o = x->dim[0], i = x->dim[1], m = k - t->nterms;
        if (m < 0) {
            all *= window_words(w->q, k, o, w->now[o], w->now[i < 0 ? 0 : i], spread_over(w, k, o) * spread_over(w, k, i));
            continue;
        }
        double outer = w->now[o][form[o].of[k]], inner = i < 0 ? 1 : w->now[i][form[i].of[k]];
        all *= tile_of(x, border_of(&form[o], m, w->now[o]), outer, inner, i < 0 ? 1 : w->now[i][form[i].residues[m]]);
    }
    return all;
}

/* Where the fan-outs may stand: the segments, as bits, one field for each fan-out. */
static uint64_t places_of(const Join *w, int d, int i) {
    const Form *form = &w->q->form[d];
    const int *place = row_at(w, d, i) + form->ncounts + w->q->s->A;
    int marks = w->q->t->nmarks;
    uint64_t all = 0;
    for (int f = 0; f < w->q->s->F && (f + 1) * (marks + 1) <= 64; f++) {
        int first = place[2 * f] < 0 ? 0 : form->slots.segment[place[2 * f]];
        int last = place[2 * f + 1] == form->K ? marks : form->slots.segment[place[2 * f + 1]];
        for (int k = first; k <= last; k++) all |= (uint64_t)1 << (f * (marks + 1) + k);
    }
    return all;
}

static int placeable(const Join *w, uint64_t places) {
    int marks = w->q->t->nmarks;
    for (int f = 0; f < w->q->s->F && (f + 1) * (marks + 1) <= 64; f++)
        if (!(places >> (f * (marks + 1)) & (((uint64_t)1 << (marks + 1)) - 1))) return 0;
    return 1;
}

static int join_fits(const Join *w, const double *x, const double *low) {
    const Setting *t = w->q->t;
    int J = t->nterms, C = J + t->nmarks;
    if (w->q->s->slowest && x[t->compute] * low[t->compute] > w->q->s->slowest) return 0;
    for (int a = 0; a < w->q->s->A; a++)
        if (x[C + a] * low[C + a] > w->q->s->size[a]) return 0;
    for (int k = 0; k < t->ncaps; k++) {
        double sum = 0;
        for (int m = J; m < C; m++)
            if (t->held[k] >> (m - J) & 1) sum += t->weight[m - J] * x[m] * low[m] * windows_of(w, m);
        if (sum > t->limit[k]) return 0;
    }
    return 1;
}

static double join_cost(const Join *w, const double *x, const double *low, const double *high) {
    double sum = w->q->t->constant, z[MAXJ];
    if (w->q->s->timed) {
        for (int j = 0; j < w->q->t->nterms; j++) z[j] = x[j] * low[j] * windows_of(w, j);
        return timed_cost(w->q->s, w->q->t, w->q->plan->order, z);
    }
    for (int j = 0; j < w->q->t->nterms; j++) {
        double c = w->q->t->term[j].coefficient;
        sum += c * x[j] * (c < 0 ? high[j] : low[j]) * windows_of(w, j);
    }
    return sum;
}

static void take_best(Join *w, double value, const double *x) {
    S *s = w->q->s;
    s->bestplan = w->q->plan;
    for (int d = 0; d < s->D; d++) {
        const Form *form = &w->q->form[d];
        const int *loops = row_at(w, d, w->chosen[d]) + form->ncounts + s->A + 2 * MAXF;
        for (int i = 0; i <= loops[0]; i++) s->bestloops[d][i] = loops[i];
    }
    for (int j = 0; j < w->q->t->nterms; j++) s->bestterms[j] = x[j] * windows_of(w, j);
    if (s->judge) {
        s->worth = smaller(s->worth, judged(s, w->q->t, w->q->plan->order, s->bestterms));
        w->q->most = smaller(w->q->most, s->worth);
        s->best = w->q->most + 1;
        return;
    }
    s->best = value;
    s->found = 1;
    w->q->most = value - 1;
}

static void join(Join *w, int depth, const double *x, uint64_t places) {
    S *s = w->q->s;
    if (depth == s->D) {
        take_best(w, join_cost(w, x, w->low[depth], w->low[depth]), x);
        return;
    }
    int d = w->order[depth], W = w->n;
    for (int i = 0; i < w->rows[d].n && !spent(s); i++) {
        double y[WIDTH];
        uint64_t both = places & w->place[d][i];
        s->nodes++;
        if (!placeable(w, both)) continue;
        row_factors(w, d, i, y);
        for (int k = 0; k < W; k++) y[k] *= x[k];
        w->now[d] = row_at(w, d, i);
        int why = !join_fits(w, y, w->low[depth + 1]) ? LARGE
                  : join_cost(w, y, w->low[depth + 1], w->high[depth + 1]) > w->q->most ? COSTLY : FINE;
        if (why != FINE) {
            s->discarded[why]++;
            continue;
        }
        w->chosen[d] = i;
        join(w, depth + 1, y, both);
    }
    w->now[d] = w->least[d];
}

static void join_rows(Join *w) {
    S *s = w->q->s;
    double one[WIDTH];
    for (int d = 0; d < s->D; d++) {
        int at = d;
        while (at > 0 && w->rows[w->order[at - 1]].n > w->rows[d].n) w->order[at] = w->order[at - 1], at--;
        w->order[at] = d;
        w->place[d] = realloc(w->place[d], sizeof(uint64_t) * (w->rows[d].n + 1));
        for (int i = 0; i < w->rows[d].n; i++) w->place[d][i] = places_of(w, d, i);
        for (int k = 0; k < w->q->form[d].ncounts; k++) {
            w->least[d][k] = INT_MAX;
            for (int i = 0; i < w->rows[d].n; i++)
                if (row_at(w, d, i)[k] < w->least[d][k]) w->least[d][k] = row_at(w, d, i)[k];
        }
        int *trips = w->least[d] + w->q->form[d].ncounts;
        memset(trips, 0, sizeof(int) * s->A);
        for (int i = 0; i < w->rows[d].n; i++)
            for (int a = 0; a < s->A; a++) trips[a] = most_of(trips[a], row_at(w, d, i)[w->q->form[d].ncounts + a]);
        w->now[d] = w->least[d];
    }
    for (int k = 0; k < w->n; k++) one[k] = w->low[s->D][k] = w->high[s->D][k] = 1;
    for (int depth = s->D - 1; depth >= 0; depth--)
        for (int k = 0; k < w->n; k++) {
            double low = INFINITY, high = 0, x[WIDTH];
            for (int i = 0; i < w->rows[w->order[depth]].n; i++) {
                row_factors(w, w->order[depth], i, x);
                low = smaller(low, x[k]), high = larger(high, x[k]);
            }
            w->low[depth][k] = w->low[depth + 1][k] * low;
            w->high[depth][k] = w->high[depth + 1][k] * high;
        }
    join(w, 0, one, ~(uint64_t)0);
}
