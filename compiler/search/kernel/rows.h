/* ---- the sums of a geometric program that have to be small: cycles that are taken, see cycles.h, and rooms that are filled ---- */

static void add_terms(const Program *p, Sum *sum, int j, double c) {
    for (int q = p->first[j]; q < p->first[j + 1]; q++) sum->each[q] += c;
}

static void add_took(const Program *p, Sum *sum, const Load *l, double c) {
    if (l->back >= 0) {
        add_terms(p, sum, l->words, c * l->each * (1 - 1 / larger(1, p->zlow[l->back])));
        return;
    }
    add_terms(p, sum, l->words, c * l->each);
    sum->constant -= c * l->less;
}

static double share_of(const Program *p, const Load *l) {
    double all = p->zlow[l->words] * l->each;
    return l->less > 0 ? larger(0, all - l->less) / all : 1;
}

/* How long the work stops at least; z: which of its loads takes longest is chosen by. */
static void add_stop(const Program *p, Sum *sum, const Work *w, const double *z, double c) {
    double share = 0, most = -1;
    int chosen = -1;
    if (w->kind == MACS || !w->n) return;
    if (w->fifo >= 0) share = smaller(1, w->room / larger(1, p->zlow[w->fifo] * w->unit));
    for (int i = 0; i < w->n; i++) {
        const Load *l = &w->load[i];
        double x = took_first(l, z), y = w->kind == OVERLAPS ? 0 : larger(0, took(l, z) - x) * (l->ahead ? 1 - share : 1);
        if (x + y > most) most = x + y, chosen = i;
    }
    const Load *l = &w->load[chosen];
    double later = w->kind == OVERLAPS ? 0 : l->ahead ? 1 - share : 1;
    if (l->first >= 0) add_terms(p, sum, l->first, c * l->once * share_of(p, l) * (1 - later));
    if (later) add_took(p, sum, l, c * later);
}

static Sum *new_sum(Program *p, int *n) {
    Sum *sum = &p->row[(*n)++];
    sum->constant = 0;
    memset(sum->each, 0, sizeof(double) * p->nq);
    return sum;
}

/* What a port takes at a mark for what moves there and inside, the marks from position `k` on, with what stops it outside. */
static void add_port(const Program *p, Sum *sum, const Boxes *q, const double *z, int together, int port, int k) {
    const Setting *t = q->t;
    for (int at = 0; at <= t->nmarks; at++) {
        int m = at < t->nmarks ? q->plan->order[at] : t->nmarks, from_zero = at < t->nmarks && t->first[m];
        for (int i = t->from[m]; i < t->from[m + 1]; i++) {
            const Work *w = &t->work[i];
            int ahead = 0, uses = 0, stops = !(together && w->kind == OVERLAPS);
            for (int l = 0; l < w->n; l++) {
                if (w->load[l].port != port) continue;
                uses = 1, ahead |= w->load[l].ahead;
                if (at >= k) add_took(p, sum, &w->load[l], 1);
            }
            if (at < k && stops && !ahead && !from_zero) add_stop(p, sum, w, z, 1);
            if (at == k && stops && !uses) add_stop(p, sum, w, z, 1);
        }
    }
}

static int uses_port(const Setting *t, int m, int port) {
    for (int i = t->from[m]; i < t->from[m + 1]; i++)
        for (int l = 0; l < t->work[i].n; l++)
            if (t->work[i].load[l].port == port) return 1;
    return 0;
}

/* The sums that cycles are no fewer than, see port_times. */
static void make_times(Program *p, const Boxes *q, const double *z) {
    const S *s = q->s;
    const Setting *t = q->t;
    Times x;
    int begins = -1;
    p->ntimes = 0;
    new_sum(p, &p->ntimes)->constant = s->fewest;
    if (!s->timed) return;
    take_times(s, t, NULL, z, &x);
    Sum *sum = new_sum(p, &p->ntimes);
    add_terms(p, sum, t->compute, 1);
    for (int i = 0; i < t->nworks; i++) {
        const Work *w = &t->work[i];
        if (!x.together || w->kind != OVERLAPS) add_stop(p, sum, w, z, 1);
        else if (begins < 0 || x.stop[i] > x.stop[begins]) begins = i;
    }
    if (begins >= 0) add_stop(p, sum, &t->work[begins], z, 1);
    for (int port = 0; port < s->ports; port++)
        for (int k = 0; k <= t->nmarks; k++) {
            int m = k < t->nmarks ? q->plan->order[k] : t->nmarks;
            if ((k < t->nmarks && t->first[m]) || !uses_port(t, m, port)) continue;
            if (p->ntimes == MAXH - MAXC) return;
            add_port(p, new_sum(p, &p->ntimes), q, z, x.together, port, k);
        }
}

/* How full each room is, 1 being full; after the cycles. */
static void make_rooms(Program *p, const Boxes *q) {
    const Setting *t = q->t;
    p->nrows = p->ntimes;
    for (int k = 0; k < t->ncaps; k++) {
        Sum *sum = new_sum(p, &p->nrows);
        sum->constant = -1;
        for (int m = 0; m < t->nmarks; m++)
            for (int i = p->tile[m]; i < p->tile[m + 1] && t->held[k] >> m & 1; i++) sum->each[i] += t->weight[m] / t->limit[k];
    }
}

static void make_rows(Program *p, const Boxes *q) {
    double z[MAXJ];
    for (int j = 0; j < q->t->nterms; j++) {
        z[j] = 0;
        for (int i = p->first[j]; i < p->first[j + 1]; i++) z[j] += p->value[i];
    }
    make_times(p, q, z);
    make_rooms(p, q);
}
