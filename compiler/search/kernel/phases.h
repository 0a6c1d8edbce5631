/* ---- phases: how often the first tile of a transfer is waited for, as transfers further out stop the work ----
 *
 * Where each schedule is looked at for itself, a chain has slots in all segments, and nothing is dropped but what costs
 * too much. Then it is no matter that what is counted here falls with some factors.
 */

/* Looks at an order of marks from now on. */
static void place_marks(Setting *t, const int *order) {
    t->nstopping = 0;
    for (int k = 0; k < t->nmarks; k++) {
        t->place[order[k]] = k;
        if (t->stops[order[k]] && !t->first[order[k]]) t->stopping[t->nstopping++] = order[k];
    }
}

/* Whether the fills at mark `a` are handed over before those at `b`; `known`: `z` is of one schedule, not what several have at least. */
static int comes_before(const Setting *t, int a, int b, const double *z, int known) {
    if (t->place[a] < t->place[b]) return t->level[a] <= t->level[b] || z[t->between[a][b]] > 1;
    return known && t->level[a] < t->level[b] && z[t->events[a]] == z[t->events[b]];
}

/* The events of the innermost mark that stops the work before the fills at a mark. */
static double phases_of(const Setting *t, int mark, const double *z, int known) {
    double phases = 1;
    for (int i = 0; i < t->nstopping; i++) {
        int m = t->stopping[i];
        if (m != mark && comes_before(t, m, mark, z, known)) phases = larger(phases, z[t->events[m]]);
    }
    return phases;
}
