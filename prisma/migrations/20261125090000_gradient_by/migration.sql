-- Runs from before there was a choice differentiated by weights. That some measured gradients relative to weights, which is
-- offered no more, stays on record.
UPDATE "PruningRun"
SET "options" = '{"gradientBy": "WEIGHTS"}'::jsonb
  || CASE WHEN "options" ->> 'gradientScale' = 'NONE' THEN "options" - 'gradientScale' ELSE "options" END
WHERE NOT "options" ? 'gradientBy';
