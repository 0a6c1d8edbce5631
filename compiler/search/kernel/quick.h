/* ---- an answer at once: descent, one prime factor moved at a time ----
 *
 * From tiles of one word, in the placements of the least bounds. A step moves a prime factor of the trips of one dim to
 * another slot or axis; where that would be better but does not fit, a second step makes room.
 */

enum { TRIED = 12, MOST_TRIALS = 30000 };

typedef struct {
    int group, side, from, to, prime;
} Step;

typedef struct {
    Search q;
    Chains chain[MAXG][2]; /* one each */
    double row[MAXG][WIDTH], value;
    Step *step;
    int nsteps, trials;
} Descent;

/* The row of a group as its chains are; whether it fits alone. */
static int refill(Descent *w, int g) {
    S *s = w->q.s;
    const Table *table = w->q.p->table[g];
    Chains *pair[2] = {&w->chain[g][0], &w->chain[g][1]};
    int first[2] = {0, 0};
    for (int d = 0; d < s->gdims[g]; d++) {
        Enumerate e = {s, w->q.t, pair[d], {0}, 1};
        memcpy(e.trips, pair[d]->trips, sizeof(int) * (pair[d]->slots.nslots + s->A));
        emit_chain(&e);
        pair[d]->n = 0;
    }
    return fill_row(s, w->q.t, table->group, pair, first, INFINITY, w->row[g]) == FINE;
}

/* What the chains cost together, infinite if they do not fit; `least` has the cost in any case. */
static double together(const Descent *w, double *least) {
    double x[WIDTH], one[WIDTH];
    for (int k = 0; k < w->q.W; k++) {
        x[k] = one[k] = 1;
        for (int g = 0; g < w->q.G; g++) x[k] *= w->row[g][k];
    }
    *least = cost(&w->q, x, one, one);
    return fits(&w->q, x, one) ? *least : INFINITY;
}

static int *trips_of(Descent *w, const Step *step) { return w->chain[step->group][step->side].trips; }

static int possible(Descent *w, const Step *step) { return trips_of(w, step)[step->from] % step->prime == 0; }

/* Takes a step; returns what the chains cost then. */
static double go(Descent *w, const Step *step, double *least) {
    trips_of(w, step)[step->from] /= step->prime;
    trips_of(w, step)[step->to] *= step->prime;
    w->trials++;
    *least = INFINITY;
    return refill(w, step->group) ? together(w, least) : INFINITY;
}

static void go_back(Descent *w, const Step *step) {
    trips_of(w, step)[step->to] /= step->prime;
    trips_of(w, step)[step->from] *= step->prime;
    refill(w, step->group);
}

/* One step after another, as long as they help. */
static int descend(Descent *w) {
    int helped = 0, since = 0;
    for (int i = 0; since < w->nsteps && w->trials < MOST_TRIALS && w->q.s->stopped != 2; i = (i + 1) % w->nsteps, since++) {
        double least;
        if (!possible(w, &w->step[i])) continue;
        double value = go(w, &w->step[i], &least);
        if (value < w->value) w->value = value, since = 0, helped = 1;
        else go_back(w, &w->step[i]);
    }
    return helped;
}

/* Two steps that help together, the first of which would help if it fitted. */
static int descend_by_two(Descent *w) {
    for (int i = 0; i < w->nsteps && w->trials < MOST_TRIALS; i++) {
        double least, none;
        if (!possible(w, &w->step[i])) continue;
        go(w, &w->step[i], &least);
        for (int k = 0; k < w->nsteps && least < w->value; k++) {
            if (!possible(w, &w->step[k])) continue;
            double value = go(w, &w->step[k], &none);
            if (value < w->value) {
                w->value = value;
                return 1;
            }
            go_back(w, &w->step[k]);
        }
        go_back(w, &w->step[i]);
    }
    return 0;
}

/* Every prime factor of every dim from everywhere to everywhere. */
static void list_steps(Descent *w) {
    const S *s = w->q.s;
    int capacity = 0;
    for (int g = 0; g < s->G; g++)
        for (int d = 0; d < s->gdims[g]; d++) {
            int slots = w->chain[g][d].slots.nslots, dim = w->chain[g][d].dim, places = slots + s->A;
            for (int to = 0; to < places; to++)
                for (int from = 0; from < places; from++)
                    for (int i = 1, rest = s->bound[dim]; i < s->ndiv[dim]; i++) {
                        int p = s->div[dim][i];
                        if (rest % p) continue;
                        while (rest % p == 0) rest /= p;
                        if (from == to || (to >= slots && !(s->allowed[to - slots] >> dim & 1))) continue;
                        if (w->nsteps == capacity) w->step = realloc(w->step, sizeof(Step) * (capacity = 2 * capacity + 64));
                        w->step[w->nsteps++] = (Step){g, d, from, to, p};
                    }
        }
}

/* Descends in a placement; keeps what is better than all before. */
static void descend_in(S *s, const Placement *p) {
    Descent *w = calloc(1, sizeof *w);
    double least;
    int fit = 1;
    w->q.s = s, w->q.t = &s->setting[p->setting], w->q.p = p;
    w->q.J = w->q.t->nterms, w->q.M = w->q.t->nmarks, w->q.W = width(s, w->q.t), w->q.G = s->G;
    for (int g = 0; g < s->G; g++) {
        for (int d = 0; d < s->gdims[g]; d++) {
            Chains *c = &w->chain[g][d];
            *c = *p->table[g]->chains[d];
            int places = c->slots.nslots + s->A;
            c->n = 0, c->measuring = 0, c->limit = INFINITY;
            c->trips = malloc(sizeof(int) * places);
            c->factor = malloc(sizeof(int) * (WIDTH + MAXJ));
            for (int k = 0; k < places; k++) c->trips[k] = k ? 1 : s->bound[c->dim];
        }
        fit &= refill(w, g);
    }
    list_steps(w);
    w->value = fit ? together(w, &least) : INFINITY;
    if (w->value < INFINITY) do descend(w); while (descend_by_two(w));
    if (w->value < s->best) {
        s->best = w->value;
        s->found = 1, s->quick = 1, s->bestplace = p->number;
        for (int g = 0; g < s->G; g++)
            for (int d = 0; d < s->gdims[g]; d++)
                memcpy(s->quicktrips[g][d], w->chain[g][d].trips, sizeof(int) * (w->chain[g][d].slots.nslots + s->A));
    }
    for (int g = 0; g < s->G; g++)
        for (int d = 0; d < s->gdims[g]; d++) free(w->chain[g][d].trips), free(w->chain[g][d].factor);
    free(w->step);
    free(w);
}
