-- AlterTable
ALTER TABLE "Iteration" ALTER COLUMN "loss" DROP NOT NULL,
ALTER COLUMN "perturbedLoss" DROP NOT NULL;

-- AlterTable
ALTER TABLE "Model" ADD COLUMN     "pruningObstacle" JSONB;

-- AlterTable
ALTER TABLE "Structure" ADD COLUMN     "count" INTEGER NOT NULL DEFAULT 1;
