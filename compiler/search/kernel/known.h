/* ---- chains that were found: they stand for others of their dim, also in boxes that they are not in ---- */

enum { MOST_KNOWN = 512, MOST_RIVALS = 64 };

/* The segments where a fan-out may stand, as bits, by the slots of the loops just outside and just inside it. */
static int segments(const Setting *t, const Form *form, int low, int high) {
    const Slots *slots = &form->slots;
    int first = low < 0 ? 0 : slots->segment[low], last = high == form->K ? t->nmarks : slots->segment[high];
    return (2 << last) - (1 << first);
}

static int segments_of_row(const Boxes *q, int d, const int *row, int f) {
    const int *place = row + q->form[d].ncounts + q->s->A + 2 * f;
    return segments(q->t, &q->form[d], place[0], place[1]);
}

static int *add_row(Rows *rows, const int *row) {
    if (rows->n == rows->capacity)
        rows->value = realloc(rows->value, sizeof(int) * rows->width * (rows->capacity = 2 * rows->capacity + 64));
    return memcpy(rows->value + (size_t)rows->n++ * rows->width, row, sizeof(int) * rows->width);
}

/* Whether a chain has no more of anything, and may stand wherever the other's fan-outs may. */
static int as_good_as(const Boxes *q, int d, const int *x, const int *y) {
    for (int k = 0; k < q->form[d].ncounts + q->s->A; k++)
        if (x[k] > y[k]) return 0;
    for (int a = 0; a < q->s->A; a++)
        if (q->form[d].shared >> a & 1 && x[q->form[d].ncounts + a] != y[q->form[d].ncounts + a]) return 0;
    for (int f = 0; f < q->s->F; f++)
        if (segments_of_row(q, d, y, f) & ~segments_of_row(q, d, x, f)) return 0;
    return 1;
}

static void know(const Boxes *q, int d, const int *row, int width) {
    Rows *known = &q->plan->known[d];
    int n = 0;
    known->width = width;
    for (int i = 0; i < known->n; i++)
        if (as_good_as(q, d, known->value + (size_t)i * width, row)) return;
    for (int i = 0; i < known->n; i++) {
        const int *x = known->value + (size_t)i * width;
        if (as_good_as(q, d, row, x)) continue;
        memmove(known->value + (size_t)n++ * width, x, sizeof(int) * width);
    }
    known->n = n;
    if (n < MOST_KNOWN) add_row(known, row);
    else memcpy(known->value + (size_t)(known->next++ % MOST_KNOWN) * width, row, sizeof(int) * width); /* the oldest makes room */
}

enum { ELSEWHERE, BELOW, WITHIN };

/* Whether a chain is in a box, or what it has is no more than there may be in the box. */
static int where(const Boxes *q, const Box *box, int d, const int *row) {
    int C = q->form[d].ncounts, below = 0;
    for (int i = 0; i < C; i++) {
        if (row[i] > box->high[d][i]) return ELSEWHERE;
        below |= row[i] < box->low[d][i];
    }
    for (int a = 0; a < q->s->A; a++) {
        if (row[C + a] > box->most[d][a]) return ELSEWHERE;
        below |= row[C + a] < box->least[d][a];
    }
    return !below ? WITHIN : q->form[d].shared ? ELSEWHERE : BELOW;
}
