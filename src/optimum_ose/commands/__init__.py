"""One file per verb of `optimum-cli ose`: argparse and printing only."""
