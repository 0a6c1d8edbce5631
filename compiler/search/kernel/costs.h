/* ---- limits that follow from the cost, and all of them together ---- */

/* Events must be few enough, so tiles and trips large enough. */
static int need_cover(const Dim *x, int i) {
    const Form *form = x->form;
    const Count *c = &form->count[i];
    double events = x->high[i], covered = ceil(form->D / events);
    int changed = 0, end = form->covered[i + 1] + (c->boundary == form->K);
    for (int r = form->covered[i]; r < end; r++) {
        int last = r == form->covered[i + 1], axes = last ? form->usable & ~c->axes : form->covers[r].axes;
        double trips = x->trips[axes], tile = last ? 1 : x->high[form->covers[r].y];
        if (tile * trips < covered) return -1;
        if (!last) changed |= raise(&x->low[form->covers[r].y], covered / trips);
        for (int a = 0; a < x->s->A; a++) /* what the other axes have together may be less than the product of their trips */
            if (axes >> a & 1) changed |= raise(&x->least[a], covered / (tile * x->trips[axes & ~(1 << a)]));
        for (int k = 0; k < form->ncounts && form->joint >> k; k++)
            if (form->joint >> k & 1 && !(axes & ~form->count[k].axes)) changed |= raise(&x->low[k], covered / tile);
    }
    for (int a = 0; a < x->s->A; a++)
        if (c->axes >> a & 1) changed |= lower(&x->most[a], events);
    return changed;
}

/* What the counts of a dim are for the window of a term. */
static Cuts cuts_of(const Form *form, int dim, int j, const int *count) {
    Cuts one = {1, 1, 1}, cuts;
    if (dim < 0) return one;
    cuts.left = count[form[dim].of[j]];
    cuts.border = form[dim].border[j] < 0 ? 1 : count[form[dim].border[j]];
    cuts.all = larger(cuts.left, count[form[dim].all[j]]);
    return cuts;
}

/* The words of a tile with so many indices of both dims at least, of the first one, which may stand at the border. */
static double first_tile(const S *s, const Win *x, int padding, int a, int b) {
    int residues = up(b, up(inner_bound(s, x), least_residues(s, x)));
    return larger(0, residues * (a - 1.0) + b - (padding ? 0 : x->outside));
}

/* The words of a term's window, with counts of both dims: of one of so many instances, which share them. */
static double window_words(const Boxes *q, int j, int outer, const int *outer_counts, const int *inner_counts, double instances) {
    const Win *x = q->form[outer].win;
    const Term *term = &q->t->term[j];
    int inner = x->dim[1];
    if (term->kind == EVENTS) return 1;
    if (term->kind == FIRST) {
        int b = inner < 0 ? 1 : inner_counts[q->form[inner].of[j]];
        return first_tile(q->s, x, term->padding, outer_counts[q->form[outer].of[j]], b);
    }
    Cuts p = cuts_of(q->form, outer, j, outer_counts), r = cuts_of(q->form, inner, j, inner_counts);
    return words_of(q->s, x, term->padding, p, r) / instances;
}

/* Of how many instances the busiest is one, as far as a dim is spread over them. */
static double instances_of(const Boxes *q, const Box *box, int j, int d) {
    const Term *term = &q->t->term[j];
    return d < 0 || term->kind != BUSIEST ? 1 : most_trips(q->s, &q->form[d], box, d, spread(q->s, term, d));
}

/* What the window of a term has in a box at least. */
static double least_words(const Boxes *q, const Box *box, int j, int outer) {
    int inner = q->form[outer].win->dim[1];
    double instances = instances_of(q, box, j, outer) * instances_of(q, box, j, inner);
    return window_words(q, j, outer, box->low[outer], box->low[inner < 0 ? 0 : inner], instances);
}

/* What a dim makes of a term at least; of a window the outer dim answers for both. */
static double term_factor(const Boxes *q, const Box *box, int j, int d) {
    int i = q->form[d].of[j];
    if (i < 0) return 1;
    if (q->s->class[q->t->term[j].operand][d] == WINDOW) return q->form[d].inner ? 1 : least_words(q, box, j, d);
    return q->t->term[j].coefficient < 0 ? box->high[d][i] : box->low[d][i];
}

/* A factor of a term is `most` at most. */
static int limit_factor(const Boxes *q, Box *box, int j, int d, double most) {
    const Form *form = &q->form[d];
    int i = form->of[j], padding = q->t->term[j].padding, k;
    if (i < 0) return 0;
    if (q->s->class[q->t->term[j].operand][d] != WINDOW) return lower(&box->high[d][i], most) << d;
    if (form->inner || (k = form->win->dim[1]) < 0 || q->t->term[j].kind == FIRST) return 0;
    int other = q->form[k].of[j];
    most *= instances_of(q, box, j, d) * instances_of(q, box, j, k);
    Cuts cuts[2];
    most_cuts(q->s, form->win, padding, most * (1 + 1e-12), cuts_of(q->form, d, j, box->low[d]),
              cuts_of(q->form, k, j, box->low[k]), cuts);
    int changed = lower(&box->high[d][i], smaller(1e9, smaller(cuts[0].left, box->high[d][form->all[j]]))) << d;
    changed |= lower(&box->high[k][other], smaller(1e9, smaller(cuts[1].left, box->high[k][q->form[k].all[j]]))) << k;
    changed |= lower(&box->high[d][form->all[j]], smaller(1e9, cuts[0].all)) << d;
    return changed | lower(&box->high[k][q->form[k].all[j]], smaller(1e9, cuts[1].all)) << k;
}

/* The bound of a box. */
static double box_bound(Boxes *q, const Box *box) {
    double sum = q->t->constant, z[MAXJ];
    for (int j = 0; j < q->t->nterms; j++) {
        double value = q->t->term[j].coefficient;
        z[j] = 1;
        for (int d = 0; d < q->s->D; d++) {
            q->f[d][j] = term_factor(q, box, j, d);
            value *= q->f[d][j];
            z[j] *= q->f[d][j];
        }
        sum += value;
    }
    return q->s->timed ? timed_cost(q->s, q->t, q->plan->order, z) : sum;
}

/* Without trips, tiles that some loops make: of one more than these one at least is full, see docs/search.md. */
static int relate_full(const Dim *x) {
    const Form *form = x->form;
    int changed = 0, *low = x->low, *high = x->high;
    if (x->trips[form->usable] > 1) return 0;
    for (int i = 0; i < form->ncounts; i++) {
        const Count *c = &form->count[i];
        if (c->tile || c->what != DIGITS || low[i] == form->D) continue;
        int loops = c->boundary + form->extra, least = up(form->D, high[i] < form->D ? high[i] : form->D - 1);
        int most = (int)((int64_t)(loops + 1) * form->D / (loops + least));
        if (high[i] < form->D) changed |= lower(&high[i], most);
        else if (low[i] > most) changed |= raise(&low[i], form->D);
        if (low[i] > high[i]) return -1;
    }
    return changed;
}

/* Events and the tiles and trips that cover them. */
static int relate_cover(const Dim *x) {
    int changed = 0;
    for (int i = 0; i < x->form->ncounts; i++) {
        const Count *c = &x->form->count[i];
        if (c->tile || c->what == BORDER) continue;
        changed |= raise(&x->low[i], least_events(x, i));
        if (x->low[i] > x->high[i]) return -1;
        int more = need_cover(x, i);
        if (more < 0) return -1;
        changed |= more;
    }
    return changed;
}

/* How large each term may be for the cost. */
static void limit_terms(const Boxes *q, const double *z, double *most) {
    const S *s = q->s;
    const Setting *t = q->t;
    Times x;
    take_times(s, t, NULL, z, &x);
    double energy = energy_of(t, z), cycles = cycles_of(s, t, q->plan->order, z, &x), most_energy, most_cycles;
    if (s->timed == FRONT) {
        most_energy = q->most + least_known(s, cycles);
        most_cycles = most_wanted(s, energy + t->price * cycles);
    } else if (s->timed == PRODUCT) {
        most_energy = q->most / cycles;
        most_cycles = q->most / larger(s->least, energy + t->price * cycles);
    } else {
        most_energy = q->most;
        most_cycles = t->price ? (q->most - energy) / t->price : INFINITY;
    }
    most_energy -= t->price * cycles;
    for (int j = 0; j < t->nterms; j++) {
        double c = t->term[j].coefficient;
        most[j] = c ? z[j] + (most_energy - energy) / c : INFINITY;
    }
    most[t->compute] = smaller(most[t->compute], most_cycles - x.compute + z[t->compute]);
    for (int i = 0; i < t->nworks; i++)
        for (int l = 0; l < t->work[i].n; l++) {
            const Load *load = &t->work[i].load[l];
            double took = most_cycles - x.port[load->port] + x.took[i][l];
            if (load->back >= 0) continue;
            if (t->work[i].kind == STOPS && !load->ahead) took = smaller(took, most_cycles - x.compute + x.stop[i]);
            most[load->words] = smaller(most[load->words], (took + load->less) / load->each);
        }
}

static int relate_timed_cost(Boxes *q, Box *box) {
    double z[MAXJ] = {0}, most[MAXJ];
    int changed = 0;
    for (int j = 0; j < q->t->nterms; j++) {
        z[j] = 1;
        for (int d = 0; d < q->s->D; d++) z[j] *= q->f[d][j];
    }
    limit_terms(q, z, most);
    for (int j = 0; j < q->t->nterms; j++)
        for (int d = 0; d < q->s->D && most[j] < INFINITY; d++)
            changed |= limit_factor(q, box, j, d, most[j] * q->f[d][j] / z[j] * (1 + 1e-9));
    return changed;
}

/* Iterations within their limit. */
static int relate_iterations(const Boxes *q, Box *box) {
    int changed = 0, compute = q->t->compute;
    double least = 1;
    for (int d = 0; d < q->s->D; d++) least *= q->f[d][compute];
    if (least > q->s->slowest) return -1;
    for (int d = 0; d < q->s->D; d++) changed |= limit_factor(q, box, compute, d, q->s->slowest / least * q->f[d][compute]);
    return changed;
}

/* Events few enough for the cost. */
static int relate_cost(Boxes *q, Box *box, double *bound) {
    int changed = 0;
    *bound = box_bound(q, box);
    if (*bound > q->most) return -1;
    if (q->s->timed) return relate_timed_cost(q, box);
    for (int j = 0; j < q->t->nterms; j++) {
        double value = q->t->term[j].coefficient;
        if (value <= 0) continue;
        for (int d = 0; d < q->s->D; d++) value *= q->f[d][j];
        for (int d = 0; d < q->s->D; d++)
            changed |= limit_factor(q, box, j, d, (q->most - *bound + value) * q->f[d][j] / value);
    }
    int more = q->s->slowest ? relate_iterations(q, box) : 0;
    return more < 0 ? more : changed | more;
}

/* Tightens what a dim has in a box; returns whether anything is left. */
static int propagate_dim(const Boxes *q, Box *box, int d) {
    Dim x;
    begin_dim(&x, q->s, &q->form[d], box, d);
    for (int changed = 1, more; changed;) {
        changed = more = relate_tiles(&x);
        if (more >= 0) changed |= more = relate_events(&x);
        if (more >= 0) changed |= more = relate_cover(&x);
        if (more >= 0) changed |= more = relate_full(&x);
        if (more >= 0 && x.form->win) changed |= more = relate_residues(&x);
        if (more >= 0 && x.form->win) changed |= more = relate_words(&x);
        if (more >= 0 && !changed) changed |= more = relate_crossings(&x);
        if (more < 0) return 0;
        for (int a = 0; a < q->s->A; a++)
            if (x.least[a] > x.most[a]) return 0;
        if (changed) look_up(&x);
    }
    return 1;
}

/* Tightens a box in which the dims given have changed, as far as it goes; returns its bound, infinite if nothing is left. */
static double propagate(Boxes *q, Box *box, int changed) {
    double bound = 0;
    while (changed) {
        for (int d = 0; d < q->s->D; d++)
            if (changed >> d & 1 && !propagate_dim(q, box, d)) return INFINITY;
        int more = relate_capacities(q, box);
        changed = more;
        if (more >= 0) changed |= more = relate_mesh(q, box);
        if (more >= 0) changed |= more = relate_mirror(q, box);
        if (more >= 0) changed |= more = relate_cost(q, box, &bound);
        if (more < 0) return INFINITY;
    }
    return bound;
}
