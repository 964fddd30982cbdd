/* Sparse autoencoders of limpid in C: from files to features and back.
 *
 * A function that fails returns NULL or a status other than LIMPID_OK, and limpid_error then says why. Matrices are row by
 * row. Several threads may use one autoencoder at the same time; it is freed once, when none of them uses it any more. */
#ifndef LIMPID_H
#define LIMPID_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct limpid_sae limpid_sae;

typedef enum limpid_status {
  LIMPID_OK = 0,
  LIMPID_FAILED = 1,
  /* the features do not fit: starts[rows] of them need room */
  LIMPID_NO_ROOM = 2
} limpid_status;

/* A folder or file in any of the formats that limpid reads. */
limpid_sae *limpid_open(const char *path);

/* Gives an autoencoder up; NULL is nothing. */
void limpid_free(limpid_sae *sae);

/* Numbers of an input and of an output, and latents; 0 of NULL. */
size_t limpid_inputs(const limpid_sae *sae);
size_t limpid_outputs(const limpid_sae *sae);
size_t limpid_latents(const limpid_sae *sae);

/* Active features of x (rows, inputs): those of row i are the entries starts[i] to starts[i + 1] of `latents`, ascending, and
 * `values`, both with room for `room` entries. `starts` has room for rows + 1 and is filled also where the others have too
 * little. */
limpid_status limpid_encode(const limpid_sae *sae, const float *x, size_t rows, size_t *starts, uint32_t *latents, float *values,
                            size_t room);

/* Writes the reconstructions from such features to out (rows, outputs), as the decoder gives them: a normalisation of inputs is
 * not undone. */
limpid_status limpid_decode(const limpid_sae *sae, size_t rows, const size_t *starts, const uint32_t *latents, const float *values,
                            float *out);

/* What the last failure in this thread was, until the next one; never NULL. */
const char *limpid_error(void);

#ifdef __cplusplus
}
#endif

#endif
