//! How does a model score on VBench? The sixteen dimensions, the suite, the total, the report.
