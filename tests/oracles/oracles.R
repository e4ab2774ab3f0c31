# Rscript tests/oracles/oracles.R > tests/oracles/oracles.json
# The data are those of `sleep` (Student 1908, Biometrika 6), which base R ships.
before <- sleep$extra[sleep$group == 1]
after <- sleep$extra[sleep$group == 2]
paired <- t.test(after, before, paired = TRUE)
won <- 8; lost <- 2
p <- c(0.010, 0.013, 0.014, 0.19, 0.35, 0.5)
wilson <- prop.test(7, 20, correct = FALSE)$conf.int
wilson_none <- prop.test(0, 10, correct = FALSE)$conf.int
needed <- power.t.test(delta = 0.02, sd = 0.5, power = 0.8, type = "paired", tol = 1e-12)$n
detectable <- power.t.test(n = 250, sd = 0.5, power = 0.8, type = "paired", tol = 1e-12)$delta
number <- function(x) paste0("[", paste(sprintf("%.15g", x), collapse = ", "), "]")
lines <- c(
  sprintf('"r": "%s"', R.version.string),
  sprintf('"before": %s', number(before)),
  sprintf('"after": %s', number(after)),
  sprintf('"paired_t": %s', number(paired$statistic)),
  sprintf('"paired_p": %s', number(paired$p.value)),
  sprintf('"mcnemar_exact_8_2": %s', number(binom.test(won, won + lost)$p.value)),
  sprintf('"p": %s', number(p)),
  sprintf('"holm": %s', number(p.adjust(p, "holm"))),
  sprintf('"bh": %s', number(p.adjust(p, "BH"))),
  sprintf('"wilson_7_of_20": %s', number(wilson)),
  sprintf('"wilson_0_of_10": %s', number(wilson_none)),
  sprintf('"pairs_needed_002_sd_05": %s', number(needed)),
  sprintf('"detectable_250_pairs_sd_05": %s', number(detectable))
)
cat("{\n  ", paste(lines, collapse = ",\n  "), "\n}\n", sep = "")
