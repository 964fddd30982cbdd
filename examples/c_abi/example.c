/* Encodes five rows with the autoencoder in FOLDER, and prints features and reconstructions to the bit: example FOLDER */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "limpid.h"

enum { ROWS = 5 };

static uint32_t bits(float value) {
  uint32_t word;
  memcpy(&word, &value, sizeof word);
  return word;
}

static int failed(const char *what) {
  fprintf(stderr, "%s: %s\n", what, limpid_error());
  return EXIT_FAILURE;
}

/* What must be refused, and how. */
static int refusals(const limpid_sae *sae, const float *x) {
  size_t starts[ROWS + 1];
  uint32_t latent = 0;
  float value = 0;
  if (limpid_open("/no/such/folder") != NULL || strlen(limpid_error()) == 0) return failed("a folder that is not there");
  if (limpid_open(NULL) != NULL || limpid_inputs(NULL) != 0) return failed("NULL");
  limpid_free(NULL);
  if (limpid_encode(sae, NULL, ROWS, starts, &latent, &value, 1) != LIMPID_FAILED) return failed("no input");
  if (limpid_encode(sae, x, SIZE_MAX, starts, &latent, &value, 1) != LIMPID_FAILED) return failed("too many rows");
  if (limpid_encode(sae, x, ROWS, starts, &latent, &value, 1) != LIMPID_NO_ROOM || starts[ROWS] < 2) return failed("no room");
  size_t wrong[2] = {0, 1};
  float out[64];
  latent = UINT32_MAX;
  if (limpid_decode(sae, 1, wrong, &latent, &value, out) != LIMPID_FAILED) return failed("a latent that is not there");
  return EXIT_SUCCESS;
}

static int encode(const limpid_sae *sae) {
  size_t inputs = limpid_inputs(sae), outputs = limpid_outputs(sae), starts[ROWS + 1];
  float *x = malloc(ROWS * inputs * sizeof *x), *out = malloc(ROWS * outputs * sizeof *out);
  if (x == NULL || out == NULL) return EXIT_FAILURE;
  for (size_t row = 0; row < ROWS; row++)
    for (size_t i = 0; i < inputs; i++) x[row * inputs + i] = (float)((row * 7 + i * 5) % 13) / 8.0f - 0.75f;
  if (refusals(sae, x) != EXIT_SUCCESS) return EXIT_FAILURE;

  /* first how many there are, then the features themselves */
  limpid_status status = limpid_encode(sae, x, ROWS, starts, NULL, NULL, 0);
  if (status == LIMPID_FAILED) return failed("limpid_encode");
  size_t room = starts[ROWS];
  uint32_t *latents = malloc((room + 1) * sizeof *latents);
  float *values = malloc((room + 1) * sizeof *values);
  if (latents == NULL || values == NULL) return EXIT_FAILURE;
  if (limpid_encode(sae, x, ROWS, starts, latents, values, room) != LIMPID_OK) return failed("limpid_encode");
  if (limpid_decode(sae, ROWS, starts, latents, values, out) != LIMPID_OK) return failed("limpid_decode");

  for (size_t row = 0; row < ROWS; row++) {
    printf("%zu:", row);
    for (size_t at = starts[row]; at < starts[row + 1]; at++) printf(" %" PRIu32 ":%08" PRIx32, latents[at], bits(values[at]));
    printf(" ->");
    for (size_t i = 0; i < outputs; i++) printf(" %08" PRIx32, bits(out[row * outputs + i]));
    printf("\n");
  }
  free(x);
  free(out);
  free(latents);
  free(values);
  return EXIT_SUCCESS;
}

int main(int count, char **arguments) {
  if (count != 2) return fprintf(stderr, "example FOLDER\n"), EXIT_FAILURE;
  limpid_sae *sae = limpid_open(arguments[1]);
  if (sae == NULL) return failed(arguments[1]);
  int code = encode(sae);
  limpid_free(sae);
  return code;
}
