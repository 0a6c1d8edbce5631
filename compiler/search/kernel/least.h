/* ---- boxes in which some dim could do with less ---- */

/* The chain of a dim without trips whose tiles are the least of the box, as far as there are any; returns whether there is one. */
static int least_chain(const Form *form, const int *low, int *station, int *step, Chain *c) {
    int extent[MAXS + 1];
    for (int b = 0; b <= form->K; b++) extent[b] = b ? INT_MAX : form->D;
    for (int i = 0; i < form->ncounts; i++) {
        const Count *x = &form->count[i];
        if (x->tile && x->what == DIGITS && x->boundary && low[i] < extent[x->boundary]) extent[x->boundary] = low[i];
    }
    extent[form->K] = 1;
    for (int b = 1; b < form->K; b++)
        if (extent[b] > extent[b - 1]) extent[b] = extent[b - 1];
    for (int b = form->K - 1; b > 0; b--)
        if (extent[b] < extent[b + 1]) return 0;
    *c = (Chain){form->D, 0, station, step};
    for (int k = form->K - 1; k >= 0; k--) {
        if (extent[k] > extent[k + 1]) station[c->n] = k, step[c->n++] = extent[k + 1];
        else if (form->must >> k & 1) return 0;
    }
    return 1;
}

enum { NEEDED, ONE, NONE };

/* What a box needs to have of a dim: if a chain has no count above the least of the box, nothing else, or nothing at all. */
static int needed(const Boxes *q, const Box *box, int d) {
    const Form *form = &q->form[d];
    int station[MAXL], step[MAXL], less = 0;
    Chain c;
    for (int a = 0; a < q->s->A; a++) {
        less |= box->least[d][a] > 1;
        if (form->shared >> a & 1 && box->most[d][a] > 1) return NEEDED;
    }
    if (!least_chain(form, box->low[d], station, step, &c)) return NEEDED;
    for (int i = 0; i < form->ncounts; i++) {
        int value = count_of(form, &c, &form->count[i]);
        if (value > box->low[d][i]) return NEEDED;
        less |= value < box->low[d][i];
    }
    return less ? NONE : ONE;
}

/* Leaves out of a box what is not needed; returns its bound, infinite if nothing is left. */
static double reduce(Boxes *q, Box *box, double bound) {
    for (int changed = 1; changed && bound <= q->most;) {
        changed = 0;
        for (int d = 0; d < q->s->D; d++) {
            int what = needed(q, box, d);
            if (what == NONE) return INFINITY;
            for (int a = 0; a < q->s->A && what == ONE; a++)
                if (lower(&box->most[d][a], 1)) changed |= 1 << d;
            for (int i = 0; i < q->form[d].ncounts && what == ONE; i++)
                if (box->high[d][i] > box->low[d][i]) box->high[d][i] = box->low[d][i], changed |= 1 << d;
        }
        if (changed) bound = propagate(q, box, changed);
    }
    return bound;
}
