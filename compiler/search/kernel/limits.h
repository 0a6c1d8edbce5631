/* ---- propagation: limits that follow from others ---- */

static const double ROUNDED = 1e-9; /* a limit that is a whole number may come out so much larger, or smaller, as a part of it */

static int raise(int *value, double to) {
    to *= 1 - ROUNDED;
    if (to <= *value) return 0;
    *value = (int)smaller(ceil(to), 1 << 30);
    return 1;
}

static int lower(int *value, double to) {
    to *= 1 + ROUNDED;
    if (to >= *value) return 0;
    *value = (int)larger(floor(to), 0);
    return 1;
}

/* The digits that some axes have together at least: of the steps of the outer one all but the last are full. */
static double least_trips(const S *s, const Box *box, int d, int axes) {
    int trips[MAXA], n = 0;
    double all = 1;
    for (int a = 0; a < s->A; a++) {
        if (!(axes >> a & 1) || box->least[d][a] == 1) continue;
        int at = n++;
        for (; at > 0 && trips[at - 1] < box->least[d][a]; at--) trips[at] = trips[at - 1];
        trips[at] = box->least[d][a];
    }
    for (int i = 0; i < n; i++) all = i ? (trips[i] - 1) * all + 1 : trips[i];
    return all;
}

/* A dim of a box whose limits are tightened, with what is asked often as it was when a round began: since then it can only have become less. */
typedef struct {
    const S *s;
    const Form *form;
    Box *box;
    int d, *low, *high, *least, *most;
    double trips[1 << MAXA];  /* by axes, the digits that they have together at most */
    double covered[MAXV];     /* how many indices each of these events covers at most */
} Dim;

/* How many indices alike in what loops outside a boundary, and on some axes, tell apart: no more than a tile has. */
static double most_within(const Dim *x, int boundary, int axes) {
    const Form *form = x->form;
    double covered = form->D;
    if (boundary == form->K) covered = smaller(covered, x->trips[form->usable & ~axes]);
    for (int i = 0; i < form->ncounts && covered > 1; i++) {
        const Count *c = &form->count[i];
        if (!c->tile || c->what != DIGITS || c->boundary > boundary || x->high[i] >= covered) continue;
        covered = smaller(covered, x->high[i] * x->trips[c->axes & ~axes]);
    }
    return covered;
}

static void look_up(Dim *x) {
    int usable = x->form->usable;
    for (int axes = usable;; axes = (axes - 1) & usable) {
        x->trips[axes] = most_trips(x->s, x->form, x->box, x->d, axes);
        if (!axes) break;
    }
    const Form *form = x->form;
    for (int i = 0; i < form->ncounts; i++) {
        const Count *c = &form->count[i];
        if (c->tile || c->what == BORDER) continue;
        double covered = form->D;
        if (c->boundary == form->K) covered = smaller(covered, x->trips[form->usable & ~c->axes]);
        for (int r = form->covered[i]; r < form->covered[i + 1]; r++)
            covered = smaller(covered, x->high[form->covers[r].y] * x->trips[form->covers[r].axes]);
        x->covered[i] = covered;
    }
}

static void begin_dim(Dim *x, const S *s, const Form *form, Box *box, int d) {
    x->s = s, x->form = form, x->box = box, x->d = d;
    x->low = box->low[d], x->high = box->high[d], x->least = box->least[d], x->most = box->most[d];
    look_up(x);
}

/* Events that tell different things apart: what is common to them covers no more indices than one has beside the other, times each
 * other; see docs/search.md, "Crossings".
 */
static int relate_crossings(const Dim *x) {
    int changed = 0, *low = x->low, *high = x->high;
    double within = 1, D = x->form->D;
    for (int i = 0; i < x->form->ncrossings; i++) {
        const Crossing *c = &x->form->crossings[i];
        if (c->common < 0) within = most_within(x, c->boundary, c->axes); /* the first of two counts */
        double common = c->common < 0 ? D : x->covered[c->common], both = D * D / (common * within);
        changed |= raise(&low[c->x], both / high[c->y]) | raise(&low[c->y], both / high[c->x]);
        if (low[c->x] > high[c->x] || low[c->y] > high[c->y]) return -1;
    }
    return changed;
}

/* What a count of events is at least. */
static double least_events(const Dim *x, int i) {
    return larger(least_trips(x->s, x->box, x->d, x->form->count[i].axes), ceil(x->form->D / x->covered[i]));
}

/* Events that others tell apart further: if each of these covers little, so that not all of the former are filled by whole ones, more
 * are needed; see docs/search.md.
 */
static int relate_fillings(const Dim *x, const Relation *r) {
    if (r->axes || x->form->count[r->x].what != DIGITS || x->form->count[r->y].what != DIGITS) return 0;
    double all = x->covered[r->x], each = x->covered[r->y], n = x->high[r->x];
    double whole = floor(all / each), rest = all - whole * each, left = x->form->D - n * whole * each;
    return left > 0 && rest > 0 ? raise(&x->low[r->y], n * whole + left / rest) : 0;
}

/* Digits within digits: x has all of y but for some trips, and y has more by the steps of other axes from the first one on. */
static int relate_counts(const Dim *x, const Relation *r) {
    double n = x->trips[r->axes], more = r->more ? least_trips(x->s, x->box, x->d, r->more) - 1 : 0;
    int changed = lower(&x->high[r->x], x->high[r->y] * n - more);
    return changed | raise(&x->low[r->y], x->low[r->x] / n + more);
}

static int contradicts(const Dim *x) {
    for (int i = 0; i < x->form->ncounts; i++)
        if (x->low[i] > x->high[i]) return 1;
    return 0;
}

/* Tiles within tiles. */
static int relate_tiles(const Dim *x) {
    const Form *form = x->form;
    int changed = 0;
    for (int i = 0; i < form->ncounts; i++) {
        const Count *c = &form->count[i];
        if (!c->tile || c->what != DIGITS) continue;
        if (!c->boundary) changed |= raise(&x->low[i], form->D / x->trips[c->axes]);
        changed |= raise(&x->low[i], least_trips(x->s, x->box, x->d, form->usable & ~c->axes));
        for (int a = 0; a < x->s->A; a++)
            if (form->usable & ~c->axes & 1 << a) changed |= lower(&x->most[a], x->high[i]);
    }
    for (int r = 0; r < form->ntiles; r++) changed |= relate_counts(x, &form->tiles[r]);
    return contradicts(x) ? -1 : changed;
}

/* Events within events. */
static int relate_events(const Dim *x) {
    int changed = 0;
    for (int i = 0; i < x->form->nevents; i++) {
        const Relation *r = &x->form->events[i];
        if (!r->only || x->trips[r->only] <= 1) changed |= relate_counts(x, r) | relate_fillings(x, r);
    }
    return contradicts(x) ? -1 : changed;
}

/* What the counts of an outer dim are for the tile of a mark at the border. */
static Border border_of(const Form *form, int m, const int *count) {
    Border border = {form->words[m] < 0 ? 0 : count[form->words[m]], form->fewer[m] < 0 ? 0 : count[form->fewer[m]],
                     form->apart[m] < 0 ? 0 : count[form->apart[m]], form->runs[m] < 0 ? 1 : count[form->runs[m]]};
    return border;
}

/* The tile of a mark in the window of its outer dim at least. */
static double window_tile(const Boxes *q, const Box *box, int m, int outer) {
    const Win *x = q->form[outer].win;
    int i = x->dim[1], at = q->t->nterms + m;
    double inner = i < 0 ? 1 : box->low[i][q->form[i].of[at]], residues = i < 0 ? 1 : box->low[i][q->form[i].residues[m]];
    return tile_of(x, border_of(&q->form[outer], m, box->low[outer]), box->low[outer][q->form[outer].of[at]], inner, residues);
}

/* What a dim makes of a tile at least; of a window the outer dim answers for both. */
static double tile_factor(const Boxes *q, const Box *box, int m, int d) {
    int i = q->form[d].of[q->t->nterms + m];
    if (i < 0) return 1;
    if (q->s->class[q->t->operand[m]][d] != WINDOW) return box->low[d][i];
    return q->form[d].inner ? 1 : window_tile(q, box, m, d);
}

/* A tile at the border has so many words at most. */
static int limit_words(const Boxes *q, Box *box, int m, int d, double words) {
    const Form *form = &q->form[d];
    int i = form->words[m], inner = form->win->dim[1], at = q->t->nterms + m;
    if (i < 0) return 0;
    int changed = lower(&box->high[d][form->of[at]], words + form->win->one) << d;
    if (inner >= 0 && box->low[inner][q->form[inner].of[at]] < form->win->inner) return changed;
    return changed | lower(&box->high[d][i], words) << d;
}

/* The words of a tile are `times` as many at most. Returns the dims that change, as bits. */
static int limit_tile(const Boxes *q, Box *box, int m, int d, double times) {
    const Form *form = &q->form[d];
    int at = q->t->nterms + m, i = form->of[at], k;
    if (i < 0 || (q->s->class[q->t->operand[m]][d] == WINDOW && form->inner)) return 0;
    if (q->s->class[q->t->operand[m]][d] != WINDOW) return lower(&box->high[d][i], times * box->low[d][i]) << d;
    double words = times * window_tile(q, box, m, d);
    int limited = limit_words(q, box, m, d, words);
    if (form->words[m] >= 0) words += outside_of(form->win);
    if ((k = form->win->dim[1]) < 0) return limited | lower(&box->high[d][i], words) << d;
    int *residues = &box->low[k][q->form[k].residues[m]], inner = q->form[k].of[at];
    int changed = limited | lower(&box->high[d][i], (words - box->low[k][inner]) / *residues + 1) << d;
    return changed | lower(&box->high[k][inner], words - *residues * (box->low[d][i] - 1.0)) << k;
}

/* Tiles within capacities; returns the dims that change, or -1 if the least tiles are too large. */
static int relate_capacities(const Boxes *q, Box *box) {
    const Setting *t = q->t;
    int changed = 0, D = q->s->D;
    for (int k = 0; k < t->ncaps; k++) {
        double words[MAXM], sum = 0;
        for (int m = 0; m < t->nmarks; m++) {
            if (!(t->held[k] >> m & 1)) continue;
            words[m] = t->weight[m];
            for (int d = 0; d < D; d++) words[m] *= tile_factor(q, box, m, d);
            sum += words[m];
        }
        if (sum > t->limit[k]) return -1;
        for (int m = 0; m < t->nmarks; m++)
            for (int d = 0; d < D && t->held[k] >> m & 1; d++)
                changed |= limit_tile(q, box, m, d, (t->limit[k] - sum + words[m]) / words[m]);
    }
    return changed;
}

/* Residues in tiles, and in all tiles, at least. */
static int relate_residues(const Dim *x) {
    const Form *form = x->form;
    int changed = 0, inner = inner_bound(x->s, form->win), residues = least_residues(x->s, form->win), alike = up(inner, residues);
    for (int i = 0; i < form->ncounts && form->inner; i++) {
        const Count *c = &form->count[i];
        if (c->what != RESIDUES) continue;
        if (!c->tile) changed |= raise(&x->low[i], residues);
        for (int k = 0; k < form->ncounts && c->tile; k++) {
            const Count *y = &form->count[k];
            if (y->tile && y->what == DIGITS && y->boundary == c->boundary && y->axes == c->axes)
                changed |= raise(&x->low[i], up(x->low[k], alike));
        }
        if (x->low[i] > x->high[i]) return -1;
    }
    return changed;
}

/* Whether some of the largest tiles have nothing outside: more of them are full than there are outer indices with something outside. */
static int full_within(const Dim *x, int i) {
    const Form *form = x->form;
    const Win *w = form->win;
    const Count *c = &form->count[i];
    double full = 1;
    for (int a = 0; a < x->s->A; a++)
        if (c->axes >> a & 1) full *= x->least[a] > 2 ? x->least[a] - 1 : 1;
    if (full > w->low + w->high) return 1;
    if (w->high > 1 || x->trips[form->usable] > 1) return 0;
    for (int k = 0; k < form->ncounts; k++) { /* tiles of neighbours, in time only: the second full one, unless it is the last */
        const Count *y = &form->count[k];
        if (!y->tile && y->what == DIGITS && y->boundary == c->boundary && x->low[k] >= y->boundary + form->extra + 2) return 1;
    }
    return 0;
}

/* Words of tiles at the border, digits in them, and events: all tiles together have to cover the outer dim. */
static int relate_words(const Dim *x) {
    const Form *form = x->form;
    const Win *w = form->win;
    int changed = 0, *low = x->low, *high = x->high, least = w->inner - w->alike;
    double points = (double)w->alike * form->D - w->outside;
    for (int i = 0; i < form->ncounts; i++) {
        if (form->count[i].what != WORDS) continue;
        double tiles = form->D;
        for (int k = 0; k < form->ncounts; k++) {
            const Count *y = &form->count[k];
            int same = y->tile && y->boundary == form->count[i].boundary && y->axes == form->count[i].axes;
            if (same && y->what == FEWER) changed |= raise(&low[k], low[i] - 1);
            if (same && y->what == DIGITS) {
                int within = low[k] >= w->low && full_within(x, i);
                changed |= raise(&low[i], within ? with_outside(w, low[k]) : w->least[low[k]]);
                changed |= lower(&high[k], most_inside(w, form->D, high[i]));
            }
            if (y->tile || y->what == BORDER || cover(&form->count[i], y) < 0) continue;
            double apart = x->trips[cover(&form->count[i], y)];
            tiles = smaller(tiles, high[k] * apart);
            if (high[i] > least) changed |= raise(&low[k], points / ((high[i] - least) * apart));
        }
        changed |= raise(&low[i], least + points / tiles);
        if (low[i] > high[i]) return -1;
    }
    return changed;
}

static int relate_mesh(const Boxes *q, Box *box) {
    int changed = 0;
    for (int a = 0; a < q->s->A; a++) {
        double n = 1;
        for (int d = 0; d < q->s->D; d++) n *= box->least[d][a];
        if (n > q->s->size[a]) return -1;
        for (int d = 0; d < q->s->D; d++) changed |= lower(&box->most[d][a], q->s->size[a] * box->least[d][a] / n) << d;
    }
    return changed;
}
