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
tost_low <- t.test(after, 0.5 * before, paired = TRUE, alternative = "greater")
tost_high <- t.test(4 * before, after, paired = TRUE, alternative = "greater")
non_inferior <- t.test(after, 0.95 * before, paired = TRUE, alternative = "greater")
# DerSimonian & Laird (1986), equations 6 to 8, on made-up effects.
effects <- c(0.10, -0.20, 0.35, 0.05); variances <- c(0.010, 0.020, 0.015, 0.005)
weights <- 1 / variances
q <- sum(weights * (effects - sum(weights * effects) / sum(weights))^2)
tau <- sqrt(max(0, (q - 3) / (sum(weights) - sum(weights^2) / sum(weights))))
# A balanced one-way random-effects model, as base R's aov splits its strata: breaks of yarn in six cells.
few <- do.call(rbind, lapply(split(warpbreaks$breaks, interaction(warpbreaks$wool, warpbreaks$tension)), identity))
strata <- summary(aov(breaks ~ 1 + Error(cell), data = data.frame(breaks = c(t(few)), cell = gl(6, 9))))
between <- strata[[1]][[1]][["Mean Sq"]]
mixed <- c(mean(few), sqrt(between / length(few)))
# Nadeau & Bengio (2003), equation 17: ten refits of Student's differences, one task reported on for two fitted on.
refits <- after - before
corrected <- sqrt(var(refits) * (1 / 10 + 0.5))
refit_interval <- mean(refits) + qt(c(0.025, 0.975), 9) * corrected
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
  sprintf('"tost_p_half_to_four_times": %s', number(max(tost_low$p.value, tost_high$p.value))),
  sprintf('"non_inferiority_095_p": %s', number(non_inferior$p.value)),
  sprintf('"effects": %s', number(effects)),
  sprintf('"variances": %s', number(variances)),
  sprintf('"tau_and_i2": %s', number(c(tau, max(0, (q - 3) / q)))),
  sprintf('"warpbreaks": %s', number(c(t(few)))),
  sprintf('"mixed_mean_and_error": %s', number(mixed)),
  sprintf('"refit_interval_half": %s', number(refit_interval)),
  sprintf('"detectable_250_pairs_sd_05": %s', number(detectable))
)
cat("{\n  ", paste(lines, collapse = ",\n  "), "\n}\n", sep = "")
