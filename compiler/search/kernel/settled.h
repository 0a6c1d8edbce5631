/* ---- the cycles of one schedule, as `effc.compiler.cost.latency` has them, where some transfer stops the work ----
 *
 * What is waited for beside a port's own work, and what goes on in the tiles that begin a phase or end it. None of it is more than
 * there where words are less than there.
 */

typedef struct {
    const S *s;
    const Setting *t;
    const double *z;
    const Times *x;
    int fill[MAXW]; /* of each work: marks between which there is no loop have one */
    double inside[MAXP], longest; /* what ports take further in than a fill, and the longest of them and compute */
} Settled;

/* Returns the last one, that of the MACs. */
static int find_fills(Settled *q, const int *order) {
    const Setting *t = q->t;
    int fill[MAXM + 1], n = 0;
    for (int k = 0; k < t->nmarks; k++) {
        n += k && q->z[t->events[order[k]]] != q->z[t->events[order[k - 1]]];
        fill[order[k]] = n;
    }
    fill[t->nmarks] = n + 1;
    for (int i = 0; i < t->nworks; i++) q->fill[i] = fill[t->work[i].mark];
    return n + 1;
}

/* Whether a work is of a mark of the bias that may stand anywhere: no more is known than what it takes at least. */
static int anywhere(const Settled *q, int work) { return q->t->work[work].kind != MACS && q->t->first[q->t->work[work].mark]; }

/* What a port takes for a work, and whether it goes on while the work inside stops. */
static double busy(const Settled *q, int work, int port, int *ahead) {
    const Work *w = &q->t->work[work];
    double sum = 0;
    *ahead = 0;
    for (int l = 0; l < w->n; l++)
        if (w->load[l].port == port) sum += q->x->took[work][l], *ahead |= w->load[l].ahead;
    return sum;
}

/* What a port does for a work while first tiles are waited for. */
static double busy_waiting(const Settled *q, int work, int port) {
    const Work *w = &q->t->work[work];
    double sum = 0;
    for (int l = 0; l < w->n; l++)
        if (w->load[l].port == port) sum += waited(&w->load[l], q->z, q->x->phases[work], q->x->took[work][l]);
    return sum;
}

/* What a port does beforehand for a work, while the work inside goes on. */
static double busy_coming(const Settled *q, int work, int port) {
    const Work *w = &q->t->work[work];
    double sum = 0, share = smaller(1, w->room / larger(1, q->z[w->fifo] * w->unit));
    for (int l = 0; l < w->n; l++)
        if (w->load[l].port == port && w->load[l].ahead) sum += larger(0, q->x->took[work][l] - took_first(&w->load[l], q->z)) * share;
    return sum;
}

/* The work inside a tile that begins a phase, while the port has nothing to do. Where fills to come wait in a FIFO they take up
 * some of it: at most all that the port does for the work.
 */
static double alone(const Settled *q, int work, int port) {
    const Work *w = &q->t->work[work];
    int ahead;
    if (w->kind == MACS || anywhere(q, work) || busy(q, work, port, &ahead) <= 0) return 0;
    double idle = larger(0, q->longest - q->inside[port]), events = q->z[q->t->events[w->mark]];
    double more = larger(0, idle - (ahead ? busy_coming(q, work, port) : 0));
    return (q->x->phases[work] * more + (idle - more)) / events;
}

/* The time of a port for what moves at a fill and further in, with all that stops it further out. */
static double port_until(const Settled *q, int port, int fill) {
    double time = 0;
    for (int i = 0; i < q->t->nworks; i++) {
        int ahead, at = q->fill[i];
        double all = busy(q, i, port, &ahead), stop = q->x->stop[i];
        const Work *w = &q->t->work[i];
        if (at > fill || (at == fill && ahead) || anywhere(q, i)) time += all;
        else if (at < fill || w->kind == STOPS) time += stop;
        else time += w->alike ? stop + all - busy_waiting(q, i, port) : larger(stop, all);
    }
    return time;
}

static void look_inside(Settled *q, int fill) {
    q->longest = q->z[q->t->compute];
    for (int p = 0; p < q->s->ports; p++) q->inside[p] = 0;
    for (int i = 0; i < q->t->nworks; i++)
        for (int l = 0; l < q->t->work[i].n && q->fill[i] > fill && !anywhere(q, i); l++) q->inside[q->t->work[i].load[l].port] += q->x->took[i][l];
    for (int p = 0; p < q->s->ports; p++) q->longest = larger(q->longest, q->inside[p]);
}

/* At least so many cycles; 0 where nothing stops. */
static double settled_cycles(const S *s, const Setting *t, const int *order, const double *z, const Times *times) {
    Times x = *times;
    Settled q = {s, t, z, &x};
    double most = 0, longest[MAXP] = {0};
    if (x.together) return 0;
    for (int i = 0; i < t->nworks; i++) {
        if (t->work[i].kind == MACS || spread_out(t, &t->work[i])) continue;
        x.compute -= x.stop[i];
        x.phases[i] = phases_of(t, t->work[i].mark, z, 1);
        x.stop[i] = stop_of(&t->work[i], z, x.took[i], x.phases[i], 1);
        x.compute += x.stop[i];
    }
    most = x.compute;
    for (int fill = find_fills(&q, order); fill >= 0; fill--) {
        look_inside(&q, fill);
        for (int p = 0; p < s->ports; p++) {
            for (int i = 0; i < t->nworks; i++)
                if (q.fill[i] == fill) longest[p] = larger(longest[p], alone(&q, i, p));
            most = larger(most, port_until(&q, p, fill) + longest[p]);
        }
    }
    return whole_cycles(most);
}
